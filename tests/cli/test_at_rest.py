"""What a home tells after `cloche down`: from its record, with no control plane started."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche import testing
from cloche.clients.control import finding, record
from cloche.clients.control.rollout_events import follow
from cloche.settings import load
from fixtures.control_plane import control_process


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which `digits` was served, until `cloche down`."""
    home = tmp_path_factory.mktemp("ended")
    with control_process(home) as environment, finding.connect(load(environment)) as control:
        control.deploy(testing.deployment("digits"))
        list(follow(lambda: control, "digits", 1, timeout=20))
        control.down()
    shutil.rmtree(home / "run")  # as the local target does at its end; this one is in memory
    (home / "logs").mkdir(exist_ok=True)
    for name in ("digits-r1-0", "gateway", "control"):
        (home / "logs" / f"{name}.log").write_text(f"a line of {name}\nanother\n")
    yield home
    assert not record.is_running(home)
    assert not (home / "run").exists()


@pytest.fixture
def files(ended: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That home for the commands of a test, which change no file of it."""
    monkeypatch.setenv("CLOCHE_HOME", str(ended))
    before = {each: each.stat().st_mtime_ns for each in ended.rglob("*")}
    yield ended
    assert {each: each.stat().st_mtime_ns for each in ended.rglob("*")} == before


def test_status_says_that_all_is_down_and_what_was_served(run, files):
    said = run("status").expect(0).out
    assert "not ready  (Nothing runs here: `cloche down` ended it.)" in said
    assert "`cloche up` brings back what was deployed here" in said
    (row,) = [line.split() for line in said.splitlines() if line.startswith("digits")]
    assert row[:4] == ["digits", "1", "down", "0/1"]
    assert run("status", "digits").expect(0).out.count("digits") >= 2
    report = run("status", "--json").expect(0).json
    assert set(report) == {"gateway", "control", "services", "kept", "problems"}
    assert report["control"] is None
    assert report["gateway"]["ready"] is False
    (service,) = report["services"]
    assert (service["service"], service["live"]) == ("digits", 1)
    assert service["replicas"] == {"wanted": 1, "ready": 0, "scaling": None, "items": []}


def test_history_and_events_are_told_from_the_record(run, files):
    (revision,) = run("history", "digits", "--json").expect(0).json["revisions"]
    assert (revision["revision"], revision["live"]) == (1, True)
    said = run("events", "digits").expect(0).out
    assert "Revision 1 was requested" in said
    assert "Revision 1 is live." in said
    assert len(run("events", "--lines", "1").expect(0).out.splitlines()) == 1


def test_logs_are_shown_of_what_ran(run, files):
    assert run("logs", "digits").expect(0).out == (
        "digits-r1-0 | a line of digits-r1-0\ndigits-r1-0 | another\n"
    )
    both = run("logs", "--gateway", "--control-plane", "--lines", "1").expect(0).out
    assert both == "gateway | another\ncontrol-plane | another\n"
    three = run("logs", "digits", "--gateway", "--lines", "1").expect(0).out
    assert three == "gateway | another\ndigits-r1-0 | another\n"
    line = run("logs", "--control-plane", "--lines", "1", "--json").expect(0).json
    assert line == {"replica": "control-plane", "line": "another"}


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("history", "nothing"), 1, "service.unknown"),
        (("events", "nothing"), 1, "service.unknown"),
        (("status", "nothing"), 1, "service.unknown"),
        (("logs", "nothing"), 1, "service.unknown"),
        (("logs",), 2, "usage.logs"),
        (("logs", "--gateway", "--revision", "1"), 2, "usage.logs"),
        (("scale", "digits", "2"), 1, "control.down"),
        (("verify", "digits"), 1, "control.down"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_starts(run, files, words, code, error):
    outcome = run(*words)
    assert outcome.code == code
    assert f"error[{error}]" in outcome.err


def test_a_new_home_has_nothing_to_tell(run, home):
    for words in (("history", "a"), ("events",), ("logs", "a"), ("logs", "--gateway")):
        assert "error[control.nothing_deployed]" in run(*words).err
    assert "Nothing has been deployed here yet." in run("status").expect(0).out
