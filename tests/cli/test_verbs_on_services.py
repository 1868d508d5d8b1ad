"""The verbs that ask the control plane, against a real one over a target in memory."""

from __future__ import annotations

import io
import json
import sys

import pytest

from cloche.cli import main
from cloche.testing import deployment
from fixtures.local import until


def test_status_shows_services_as_a_table_and_as_json(run, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = run("status", name).out.splitlines()
    assert lines[0] == "gateway  http://127.0.0.1:8080  ready"
    assert lines[1].split() == [
        "NAME", "REVISION", "PHASE", "REPLICAS", "VERIFIED", "MODEL", "URL",
    ]  # fmt: skip
    assert lines[2].split()[:4] == [name, "1", "live", "1/1"]

    report = run("status", name, "--json").json
    assert set(report) == {"gateway", "control", "services", "kept", "problems"}
    (service,) = report["services"]
    assert service["http"] == f"http://127.0.0.1:8080/v2/models/{name}/infer"
    assert service["model"]["digest"].startswith("sha256:")
    assert service["verification"]["passed"] is True
    assert service in run("status", "--json").json["services"]


@pytest.mark.parametrize("verb", ["status", "history", "events"])
def test_what_is_told_of_a_service_fits_a_narrow_terminal(run, name, monkeypatch, verb):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    url = f"http://127.0.0.1:8080/v2/models/{name}/infer"
    text = run(verb, name).out
    assert all(len(line) <= 80 for line in text.splitlines())
    if verb == "status":
        assert f"  url  {url}\n" in text
        monkeypatch.setenv("COLUMNS", "40")
        assert f"  url       {url}\n" in run(verb, name).out


def test_history_is_newest_first_and_says_what_is_live(run, control, name, monkeypatch):
    control.deploy(deployment(name, model="b"))
    until(lambda: control.service(name)["live"] == 2)
    monkeypatch.setenv("COLUMNS", "200")
    revisions, rollouts = (part.splitlines() for part in run("history", name).out.split("\n\n"))
    assert [line.split()[0] for line in revisions[1:]] == ["2", "1"]
    assert revisions[1].split()[1] == "*"
    told = [" ".join(line.split()) for line in rollouts[1:]]
    assert told[0].startswith("1 → 2 deploy completed ")
    assert told[1].startswith("→ 1 deploy completed ")
    history = run("history", name, "--json").json
    newest, oldest = history["revisions"]
    assert (newest["revision"], newest["live"], newest["phase"]) == (2, True, "live")
    assert (oldest["live"], oldest["phase"], oldest["restorable"]) == (False, "retired", True)
    assert [one["outcome"] for one in history["rollouts"]] == ["completed", "completed"]


def test_rollback_brings_back_the_one_before_and_says_whence(run, control, name):
    control.deploy(deployment(name, model="b"))
    until(lambda: control.service(name)["live"] == 2)
    outcome = run("rollback", name)
    assert outcome.code == 0
    assert f"{name} revision 1 is live, rolled back from revision 2." in outcome.out
    result = run("rollback", name, "--to", "2", "--no-verify", "--json").json
    assert (result["revision"], result["from"], result["cause"], result["phase"]) == (
        2, 1, "rollback", "live",
    )  # fmt: skip
    assert result["verified"] is None
    outcome = run("rollback", name, "--no-verify")
    assert "not repeated (--no-verify)" in outcome.out


def test_rollback_with_nothing_to_go_back_to_is_one_clear_sentence(run, control, name):
    outcome = run("rollback", name)
    assert outcome.code == 1
    assert f"error[rollback.nothing]: {name} has no earlier revision that was live." in outcome.err
    outcome = run("rollback", name, "--to", "1")
    assert (outcome.code, "is already live" in outcome.err) == (2, True)
    assert run("rollback", name, "--to", "9", "--json").json["error"]["code"] == "revision.unknown"


def test_scale_changes_the_replicas_in_place(run, control, name):
    outcome = run("scale", name, "3")
    assert outcome.code == 0
    assert "3 replicas wanted" in outcome.out
    assert f"{name}: 1 replica wanted, " in run("scale", name, "1").out
    run("scale", name, "3")
    until(lambda: control.service(name)["replicas"]["ready"] == 3)
    assert control.service(name)["revision"] == 1
    assert run("scale", name, "1", "--json").json["replicas"]["wanted"] == 1


def test_restart_replaces_the_replicas_in_place(run, control, name):
    run("scale", name, "2")
    until(lambda: control.service(name)["replicas"]["ready"] == 2)
    outcome = run("restart", name)
    assert (outcome.code, outcome.out) == (0, f"{name}: 2 of 2 replicas are new.\n")
    status = run("restart", name, "--no-wait", "--json").json
    items = status["replicas"]["items"]
    assert status["restarted_at"] in {each["restarted_at"] for each in items}
    assert status["revision"] == 1
    until(lambda: len(control.service(name)["replicas"]["items"]) == 2)
    outcome = run("events", name)
    assert "A restart of revision 1 was requested" in outcome.out
    assert "error[service.unknown]" in run("restart", "nothing").err


def test_verify_replays_the_golden_request(run, name):
    outcome = run("verify", name)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{name}: passed (1.5 ms)")
    assert "The request was made, its answer compared with the model's own fr" in outcome.out
    assert run("verify", name, "--json").json["passed"] is True


def test_events_are_told_in_order(run, name):
    outcome = run("events", name)
    lines = outcome.out.splitlines()
    assert "Revision 1 was requested" in lines[0]
    assert all(f"  {name}  " in line for line in lines)
    assert len(run("events", "--lines", "2").out.splitlines()) == 2
    last = run("events", name, "--lines", "1", "--json").json
    assert (last["service"], last["what"] in lines[-1]) == (name, True)
    assert run("events", "nothing").code == 1


def test_logs_name_the_replica(run, name):
    outcome = run("logs", name, "--lines", "2")
    assert outcome.out == f"{name}-r1-0 | line 0\n{name}-r1-0 | line 1\n"
    line = run("logs", name, "--lines", "1", "--json").json
    assert line == {"replica": f"{name}-r1-0", "line": "line 0"}


def test_delete_asks_first(run, control, name, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    outcome = run("delete", name)
    assert outcome.code == 2
    assert "Add --yes." in outcome.err
    assert control.service(name)["live"] == 1


def test_delete_returns_when_the_service_is_gone(run, name):
    assert run("delete", name, "--yes").out == f"{name} is gone.\n"
    outcome = run("status", name, "--json")
    assert outcome.code == 1
    assert outcome.json["error"]["code"] == "service.unknown"


@pytest.mark.parametrize("verb", ["history", "verify", "logs", "infer"])
def test_an_unknown_service_is_an_error_with_a_hint(run, control, verb):
    outcome = run(verb, "digitz", *(["--example"] if verb == "infer" else []))
    assert outcome.code == 1
    assert "error[service.unknown]" in outcome.err
    assert "hint:" in outcome.err


def test_an_example_request_fits_the_service(run, name):
    example = run("infer", name, "--example", "--json").json
    body = json.loads(example["curl"].partition("-d ")[2].strip("'"))
    assert body == {
        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.0] * 4}]
    }
    compile(example["python"], "example", "exec")


def test_a_request_that_does_not_fit_is_refused_before_it_is_sent(run, name, tmp_path):
    path = tmp_path / "request.json"
    path.write_text('{"x": [[1, 2, 3]]}')
    outcome = run("infer", name, "--input", str(path))
    assert outcome.code == 2
    assert "error[infer.input.shape]" in outcome.err
    assert "'x' has the shape [1, 3], but FP32 [-1, 4] is expected" in outcome.err


def test_the_cache_keeps_what_revisions_need(run, name):
    report = run("cache", "show", "--json").json
    assert report["entries"] == []
    assert run("cache", "clean", "--to", "0").code == 0


def test_a_reader_that_has_gone_is_not_an_error(name, monkeypatch):
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return 1

    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr("os.dup2", lambda *_: 1)
    assert main(["history", name]) == 1


def test_down_ends_everything_and_says_what(run, name):
    """The last of this module: no control plane is left after it."""
    outcome = run("down", "--json")
    assert outcome.code == 0
    ended = outcome.json["ended"]
    assert f"{name}-r1-0" in [replica["id"] for replica in ended["replicas"]]
    assert ended["control"] is not None
