"""How errors look."""

from __future__ import annotations

import json

from cloche.cli import failures
from cloche.errors import ClocheError, ErrorGroup, UnavailableError, UsageError

CUT = ClocheError(
    "source.onnx.truncated", "The file ends early.", where="./m.onnx", hint="Copy it again."
)


def test_an_error_says_what_where_and_what_to_do(capsys):
    failures.render(CUT, as_json=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error[source.onnx.truncated]: The file ends early.\n"
        "  where: ./m.onnx\n"
        "  hint: Copy it again.\n"
    )


def test_a_group_shows_all_its_members(capsys):
    members = [UsageError("spec.unknown", "Unknown key.", where="cloche.yaml:3"), CUT]
    failures.render(ErrorGroup("spec.invalid", "2 mistakes.", members), as_json=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error[spec.invalid]: 2 mistakes."
    assert lines[1:3] == ["  error[spec.unknown]: Unknown key.", "    where: cloche.yaml:3"]
    assert lines[-1] == "    hint: Copy it again."


def test_as_json_it_is_an_object_on_stdout(capsys):
    error = UnavailableError("registry.unreachable", "Nobody answers.")
    failures.render(error, as_json=True)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "error": {
            "kind": "unavailable", "code": "registry.unreachable", "what": "Nobody answers.",
            "where": None, "hint": None, "retriable": True,
        }
    }  # fmt: skip


def test_lines_of_a_log_in_a_message_stay_below_it():
    error = ClocheError("x", "It ended. Its log:\nfirst\nsecond")
    assert failures.lines_of(error)[0].endswith("log:\n    first\n    second")
