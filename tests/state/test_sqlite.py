"""What is peculiar to the state in a file: durability, damage, versions, a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloche import testing
from cloche.artifacts import Event, EventKind, Outcome, ReplicaRange
from cloche.errors import ClocheError
from cloche.rollout.rollback import former
from cloche.state.sqlite import SqliteJournal, SqliteState, schema

WRITER = """
from pathlib import Path
from cloche import testing
from cloche.state.sqlite import SqliteJournal, SqliteState
path = Path({path!r})
engine = testing.engine(state=SqliteState(path), journal=SqliteJournal(path))
for number in range(10_000):
    print(engine.deploy(testing.deployment(model=str(number)))["revision"], flush=True)
"""

LOOKER = """
from pathlib import Path
from cloche.state.sqlite import SqliteState
state = SqliteState(Path({path!r}))
print(state.services())
state.close()
"""


def deploy(state: SqliteState, model: str = "a") -> int:
    return testing.engine(state=state).deploy(testing.deployment(model=model))["revision"]


def refusal(path: Path) -> ClocheError:
    with pytest.raises(ClocheError) as caught:
        SqliteState(path)
    assert caught.value.hint
    assert caught.value.where == str(path)
    return caught.value


def test_a_copy_leaves_the_file_and_its_folder_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(path)
    deploy(state)
    state.close()
    before = {each.name: each.stat() for each in tmp_path.iterdir()}
    tmp_path.chmod(0o500)
    try:
        copy, journal = SqliteState(path, copied=True), SqliteJournal(path, copied=True)
    finally:
        tmp_path.chmod(0o700)
    assert (copy.services(), copy.last_number("digits")) == (("digits",), 1)
    assert journal.read() == ()
    deploy(copy, "b")  # what is done to a copy stays in it
    copy.close()
    journal.close()
    assert {each.name: each.stat() for each in tmp_path.iterdir()} == before


def test_a_copy_has_what_another_connection_has_committed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(path)
    deploy(state)
    copy = SqliteState(path, copied=True)
    deploy(state, "b")
    assert (copy.last_number("digits"), state.last_number("digits")) == (1, 2)
    copy.close()
    state.close()


def test_what_was_returned_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    code = WRITER.format(path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in writer.stdout if line.endswith(b"\n"))])
    state = SqliteState(path)
    revisions = state.revisions("digits")
    assert len(revisions) in {said, said + 1}
    stored = state.service("digits")
    assert stored is not None
    assert stored.record.rollout is not None
    # A revision is kept before the record names it; the last one may have come no further.
    assert stored.record.rollout.to in {said, len(revisions)}
    state.close()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "home" / "state.db")
    deploy(state)
    for file in (tmp_path / "home").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    state.close()


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    deploy(state)
    before = (state.service("digits"), state.revisions("digits"))
    pages = state._database.one("PRAGMA page_count")
    assert pages is not None
    state._database.one(f"PRAGMA max_page_count = {pages[0]}")
    with pytest.raises(ClocheError) as caught:
        state.add_revision(replace(state.revisions("digits")[0], number=2, by="x" * 100_000))
    assert caught.value.code == "state.full"
    assert caught.value.retriable
    with pytest.raises(ClocheError, match="disk is full"):
        deploy(state, "b" * 8192)
    assert (state.service("digits"), state.revisions("digits")) == before
    state._database.one("PRAGMA max_page_count = 100000")
    assert deploy(state, "b") == 2
    state.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + os.urandom(len(data) - 4096),
    ],
    ids=["something else", "cut", "overwritten"],
)
def test_damage_is_said(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "state.db"
    state = SqliteState(path)
    for number in range(30):
        deploy(state, str(number))
    state.close()
    path.write_bytes(damage(path.read_bytes()))
    assert refusal(path).code == "state.corrupt"


def test_a_later_versions_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    assert refusal(path).code == "state.newer"
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    assert version == (len(schema.MIGRATIONS) + 1,)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert refusal(tmp_path / "file" / "state.db").code == "state.unwritable"
    assert refusal(tmp_path).code == "state.unwritable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    path.chmod(0o400)
    assert refusal(path).code == "state.unwritable"


def test_another_process_takes_nothing_away(tmp_path: Path) -> None:
    """State and journal are two connections of one process; a command looks meanwhile."""
    path = tmp_path / "state.db"
    state, journal = SqliteState(path), SqliteJournal(path)
    deploy(state)
    words = [sys.executable, "-c", LOOKER.format(path=str(path))]
    assert subprocess.check_output(words, text=True) == "('digits',)\n"
    state.delete("digits", expect=state.service("digits").version)
    assert subprocess.check_output(words, text=True) == "()\n"
    journal.close()
    state.close()


def test_of_each_service_the_latest_events_are_kept(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "state.db", most_events=3)

    def note(service: str, what: str) -> None:
        journal.append([Event("2026", service, None, EventKind.REPLICA, what, "me")])

    for number in range(5):
        note("digits", f"It is back, {number}.")
        note("other", "It is back.") if number < 2 else None
    assert [event.what[-2] for event in journal.read("digits")] == ["2", "3", "4"]
    assert len(journal.read("other")) == 2
    # A cursor is never given again, also after those that had the last ones are gone.
    note("digits", "Once more.")
    assert journal.read("digits")[-1].cursor == "8"
    journal.close()


def test_a_file_of_the_first_version_is_carried_over(tmp_path: Path) -> None:
    """`first_version.sql` was written by the first version: live, retired, failed, scaled."""
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "first_version.sql").read_text())
    connection.close()
    state, journal = SqliteState(path), SqliteJournal(path)
    stored = state.service("digits")
    assert stored is not None
    record = stored.record
    assert (record.live, record.rollout, record.operated.replicas) == (
        2, None, ReplicaRange.exactly(2),
    )  # fmt: skip
    assert [(one.to, one.previous, one.outcome) for one in record.rollouts] == [
        (1, None, Outcome.COMPLETED), (2, 1, Outcome.COMPLETED), (3, 2, Outcome.FAILED),
    ]  # fmt: skip
    assert record.rollouts[2].failure is not None
    assert [one.number for one in state.revisions("digits")] == [1, 2, 3]
    live = state.revision("digits", 2)
    assert live is not None
    assert live.by == "someone@here"
    assert live.digest == live.deployment.digest
    assert live.deployment.served.batching.max_queue_delay == 1000
    verification, golden = state.attached("digits", 2).verification, live.deployment.golden
    assert verification is not None
    assert golden is not None
    assert (verification.origin, verification.judge) == ("made", "reference")
    assert (golden.origin, golden.judge) == ("made", "reference")
    assert state.last_number("gone") == 4
    assert [event.kind for event in journal.read("digits")][:2] == ["deployed", "phase"]
    assert former(record) == 1
    state.close()
    journal.close()
