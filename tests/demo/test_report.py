"""What `cloche demo` says at its end, and its exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloche.cli import main
from cloche.demo import command, report
from cloche.demo import run as demo
from cloche.demo.places import Places
from cloche.settings import Settings


@pytest.fixture
def places(tmp_path) -> Places:
    return Places.under(Settings(home=tmp_path))


def result(*, lost: int = 0, kept: bool = False) -> dict[str, Any]:
    verification = {"passed": True, "origin": "stored", "judge": "reference", "duration_ms": 2.0}
    return {
        "model": {"version": "1", "alias": "champion", "accuracy": 0.98, "held_out": 450},
        "service": {
            "service": "digits", "revision": 1, "phase": "live", "verification": verification,
            "http": "http://127.0.0.1:8080/v2/models/digits/infer", "grpc": "127.0.0.1:8080",
        },
        "requests": 450,
        "accuracy": {"http": 0.98, "grpc": 0.98},
        "latency_ms": {"http": {"p50": 1.0, "p99": 2.0}, "grpc": {"p50": 1.0, "p99": 2.0}},
        "rollback": {
            "model": {"version": "2", "alias": "challenger", "accuracy": 0.96, "held_out": 450},
            "from": 2, "to": 1, "deploy_seconds": 0.61, "seconds": 0.42,
            "requests": {"http": 20, "grpc": 10}, "answered": {"1": 12, "2": 8 - lost},
            "lost": lost, "failures": ["http: reset by peer"] * lost,
        },
        "mlflow": "http://127.0.0.1:5000", "home": "/home/demo", "kept": kept, "seconds": 20.0,
    }  # fmt: skip


def test_the_report_counts_what_was_lost(places):
    text = report.text(result(), places, "cloche")
    assert "brought back revision 1 in 0.4 s." in text
    assert "sent      20 requests over HTTP, 10 over gRPC\n" in text
    assert "answered  12 by revision 1, 8 by revision 2 " in text
    assert "lost      0\n" in text
    assert "lost      1\n  http: reset by peer\n" in report.text(result(lost=1), places, "cloche")


def test_a_kept_demo_can_be_rolled_forward(places):
    text = report.text(result(kept=True), places, ".venv/bin/cloche")
    assert "\n  .venv/bin/cloche rollback digits --to 2\n" in text
    assert f"End it with: CLOCHE_HOME={places.outer.home} .venv/bin/cloche demo --stop" in text


@pytest.mark.parametrize(
    ("on_path", "uv_run", "expected"),
    [
        (["tools"], False, "cloche"),
        ([".venv/bin"], False, "cloche"),  # an activated environment
        ([".venv/bin"], True, ".venv/bin/cloche"),  # uv run puts it there for one process
        ([".venv/bin", "tools"], True, "cloche"),
        ([], False, ".venv/bin/cloche"),
    ],
)
def test_the_words_by_which_a_reader_can_call_it(tmp_path, on_path, uv_run, expected):
    for name in ("tools", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "cloche").touch(mode=0o755)
    path = ":".join(str(tmp_path / name) for name in on_path)
    environment = {"PATH": path} | ({"UV_RUN_RECURSION_DEPTH": "1"} if uv_run else {})
    assert command.words(environment, tmp_path, tmp_path / ".venv" / "bin") == expected
    elsewhere = command.words({"PATH": ""}, tmp_path / "work", tmp_path / ".venv" / "bin")
    assert elsewhere == str(tmp_path / ".venv" / "bin" / "cloche")


@pytest.mark.parametrize(("lost", "code"), [(0, 0), (2, 1)])
def test_a_lost_request_is_an_exit_code(lost, code, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CLOCHE_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "run", lambda *_, **__: result(lost=lost))
    assert main(["demo", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["rollback"]["lost"] == lost
