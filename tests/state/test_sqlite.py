"""What is peculiar to the state in a file: durability, damage, versions, a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cloche.errors import ClocheError
from cloche.state import schema
from cloche.state.sqlite import SqliteState
from fixtures_control import deployment

WRITER = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from fixtures_control import deployment
from cloche.state.sqlite import SqliteState
state = SqliteState(Path({path!r}))
for number in range(10_000):
    asked = deployment(model=str(number))
    print(state.deploy(asked, asked.digest).number, flush=True)
"""


def deploy(state: SqliteState, model: str = "a") -> int:
    asked = deployment(model=model)
    return state.deploy(asked, asked.digest).number


def refusal(path: Path) -> ClocheError:
    with pytest.raises(ClocheError) as caught:
        SqliteState(path)
    assert caught.value.hint
    assert caught.value.where == str(path)
    return caught.value


def test_what_was_returned_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    code = WRITER.format(paths=[str(Path(__file__).parents[1])], path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in writer.stdout if line.endswith(b"\n"))])
    state = SqliteState(path)
    revisions = state.revisions("digits")
    assert len(revisions) in {said, said + 1}
    assert [r.number for r in revisions if not r.phase.ended] == [len(revisions)]
    record = state.service("digits")
    assert record is not None
    assert record.wanted == len(revisions)
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
    before = (state.services(), state.revisions("digits"), state.events())
    pages = state._database.one("PRAGMA page_count")
    assert pages is not None
    state._database.one(f"PRAGMA max_page_count = {pages[0]}")
    with pytest.raises(ClocheError) as caught:
        state.record("digits", "note", "x" * 100_000)
    assert caught.value.code == "state.full"
    assert caught.value.retriable
    with pytest.raises(ClocheError, match="disk is full"):
        deploy(state, "b" * 8192)
    assert (state.services(), state.revisions("digits"), state.events()) == before
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


def test_of_each_service_the_latest_events_are_kept(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db", most_events=3)
    for number in range(5):
        state.record("digits", "replica", f"It is back, {number}.")
        state.record("other", "replica", "It is back.") if number < 2 else None
    assert [event.what[-2] for event in state.events("digits")] == ["2", "3", "4"]
    assert len(state.events("other")) == 2
    # A number is never given again, also after those that had the last ones are gone.
    assert state.record("digits", "replica", "Once more.").sequence == 8
    state.close()
