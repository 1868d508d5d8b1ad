"""Progress in lines and on a terminal, and how values are written."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from cloche import units
from cloche.cli import progress, rendering
from fixtures.local import until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.01)


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quick_work_says_nothing(stream):
    with progress.for_terminal(stream).task("Looking") as task:
        task.advance(10)
        task.note("here")
    assert stream.getvalue() == ""


def test_lines_without_a_terminal(impatient):
    stream = io.StringIO()
    with progress.for_terminal(stream).task("Copying", 4 * 2**20) as task:
        until(stream.getvalue)
        task.advance(2**20)
        task.note("half of it")
    begin, noted, end = stream.getvalue().splitlines()
    assert begin == "Copying …"
    assert noted == "Copying: half of it"
    assert end.startswith("Copying: done in 0.")


def test_long_work_says_how_far_it_is(impatient, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    stream = io.StringIO()
    with progress.LineProgress(stream).task("Copying", 4 * 2**20) as task:
        task.advance(2**20)
        until(lambda: "1.0 MiB of 4.0 MiB" in stream.getvalue())


def test_failed_work_says_so(impatient):
    stream = io.StringIO()

    def copy() -> None:
        with progress.LineProgress(stream).task("Copying"):
            until(stream.getvalue)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        copy()
    assert "Copying: failed after" in stream.getvalue()


def test_a_terminal_that_cannot_draw_gets_lines(impatient, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with progress.for_terminal(stream).task("Copying"):
        until(stream.getvalue)
    assert stream.getvalue().startswith("Copying …\n")


@pytest.mark.parametrize("total", [None, 10])
def test_a_terminal_shows_the_work_and_leaves_a_line(impatient, total):
    stream = Terminal()
    terminal = progress.for_terminal(stream)
    with terminal.task("Installing", total) as task:
        until(lambda: "Installing" in stream.getvalue())
        task.advance(5)
        task.note("unpacking")
        with terminal.task("Checking"):
            until(lambda: "Checking" in stream.getvalue())
    assert stream.getvalue().count("✓") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"),
     (7200, "2 h"), (7260, "2 h 1 min"), (400_000, "4 d")],
)  # fmt: skip
def test_durations(seconds, text):
    assert units.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (98_300_000, "93.7 MiB"),
        (5e12, "4.5 TiB"),
    ],
)
def test_sizes(size, text):
    assert units.size_text(size) == text


def test_ages_are_told_from_utc():
    now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    assert rendering.age_text("2026-11-01T11:58:00+00:00", now) == "2 min"
    assert rendering.age_text("2026-11-01T11:58:00", now) == "2 min"
    assert rendering.age_text("unknown", now) == "unknown"


def test_a_table_has_columns_as_wide_as_their_cells():
    assert rendering.table(("A", "LONG"), [("xyz", "1"), ("", "22")]) == (
        "A    LONG\nxyz  1\n     22"
    )


def test_a_tensor_names_its_open_axes():
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, -1, 3], "labels": ["batch"]}
    assert rendering.tensor_text(tensor) == "x FP32 [batch, ?, 3]"
    assert rendering.tensor_text({**tensor, "optional": True}).endswith("(optional)")
