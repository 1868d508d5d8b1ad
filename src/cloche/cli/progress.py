"""Progress on stderr: bars and spinners on a terminal, plain lines elsewhere.

Only work that takes longer than a moment is shown, so that quick commands stay quiet and do not
import the library that draws bars.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from cloche.repeating import repeated
from cloche.units import duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.progress import Progress as RichProgress
    from rich.progress import Task as RichTask

    from cloche.progress import Progress, Task

QUIET_SECONDS = 0.7
LINE_SECONDS = 10.0


def for_terminal(stream: TextIO | None = None) -> Progress:
    """Return the progress for stderr: drawn on a terminal that can, else lines."""
    stream = stream or sys.stderr
    draws = stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}
    return TerminalProgress(stream) if draws else LineProgress(stream)


class LineProgress:
    """Prints a line after a moment of work, one every ten seconds, and one at its end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        """Begin a task; one that ends within a moment prints nothing."""
        task = _LineTask(title, total, self._stream, self._clock)
        with _ticking(task.tick):
            try:
                yield task
            except BaseException:
                task.end("failed after")
                raise
        task.end("done in")


class _LineTask:
    def __init__(
        self, title: str, total: int | None, stream: TextIO, clock: Callable[[], float]
    ) -> None:
        self._title, self._total = title, total
        self._stream, self._clock = stream, clock
        self._began = self._said = clock()
        self._shown = False
        self._done = 0
        self._note = ""
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        self._done += amount

    def note(self, text: str) -> None:
        if text == self._note:
            return
        self._note = text
        if self._shown or self._clock() - self._began >= QUIET_SECONDS:
            self._shown = True
            self._say(f"{self._title}: {text}")

    def tick(self) -> None:
        """Print that the work goes on, if a line is due."""
        if not self._shown:
            self._shown = True
            self._say(f"{self._title}: {self._note}" if self._note else f"{self._title} …")
        elif self._clock() - self._said >= LINE_SECONDS:
            self._say(f"{self._title}: {self._state()}")

    def end(self, how: str) -> None:
        if self._shown:
            self._say(f"{self._title}: {how} {duration_text(self._clock() - self._began)}")

    def _state(self) -> str:
        elapsed = duration_text(self._clock() - self._began)
        if not self._done:
            return f"{self._note.rstrip('.')}, {elapsed} so far".removeprefix(", ")
        of = f" of {size_text(self._total)}" if self._total else ""
        return f"{size_text(self._done)}{of}, {elapsed} so far"

    def _say(self, line: str) -> None:
        with self._lock:
            self._said = self._clock()
            self._stream.write(line + "\n")
            self._stream.flush()


def _ticking(tick: Callable[[], None]) -> AbstractContextManager[None]:
    """Call `tick` after a quiet moment and again after each, in a separate thread."""
    return repeated(tick, QUIET_SECONDS, name="progress", first=QUIET_SECONDS)


class TerminalProgress:
    """Draws a spinner or a bar per task that takes longer than a moment."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._drawing: RichProgress | None = None
        self._shown = 0

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        """Begin a task; one that took longer than a moment leaves a line behind."""
        task = _TerminalTask(self, title, total)
        timer = threading.Timer(QUIET_SECONDS, task.show)
        timer.daemon = True
        timer.start()
        try:
            yield task
        except BaseException:
            timer.cancel()
            task.end(worked=False)
            raise
        timer.cancel()
        task.end(worked=True)

    def open(self) -> RichProgress:
        """Return the drawing; begin it for the first task in it."""
        with self._lock:
            if self._drawing is None:
                self._drawing = _drawing(self._stream)
                self._drawing.start()
            self._shown += 1
            return self._drawing

    def close(self) -> None:
        """End the drawing after the last task in it."""
        with self._lock:
            self._shown -= 1
            if self._shown == 0 and self._drawing is not None:
                self._drawing.stop()
                self._drawing = None


class _TerminalTask:
    def __init__(self, owner: TerminalProgress, title: str, total: int | None) -> None:
        self._owner, self._title, self._total = owner, title, total
        self._began = time.monotonic()
        self._done = 0
        self._note = ""
        self._ended = False
        self._lock = threading.RLock()
        self._drawing: RichProgress | None = None
        self._task: int | None = None

    def show(self) -> None:
        """Begin to draw this task; called after a moment of work."""
        with self._lock:
            if self._ended:
                return
            self._drawing = self._owner.open()
            self._task = self._drawing.add_task(
                self._title, total=self._total, completed=self._done, note=self._note,
                bytes=self._total is not None,
            )  # fmt: skip

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            if self._drawing is not None and self._task is not None:
                self._drawing.update(self._task, completed=self._done)  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        with self._lock:
            self._note = text
            if self._drawing is not None and self._task is not None:
                self._drawing.update(self._task, note=text)  # type: ignore[arg-type]

    def end(self, *, worked: bool) -> None:
        with self._lock:
            self._ended = True
            if self._drawing is None or self._task is None:
                return
            took = duration_text(time.monotonic() - self._began)
            mark = "[green]✓[/]" if worked else "[red]✗[/]"
            self._drawing.remove_task(self._task)  # type: ignore[arg-type]
            self._drawing.console.print(f"{mark} {self._title} [dim]{took}[/]", highlight=False)
            self._owner.close()


def _drawing(stream: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class _Amount(DownloadColumn):
        """Bytes done, for tasks that count bytes."""

        def render(self, task: RichTask) -> Text:
            return super().render(task) if task.total is not None else Text("")

    class _Bar(BarColumn):
        """A bar, for tasks with a known total."""

        def render(self, task: RichTask) -> Any:
            return super().render(task) if task.total is not None else Text("")

    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), _Bar(bar_width=24),
        _Amount(binary_units=True),
        TextColumn("[dim]{task.fields[note]}[/]"), TimeElapsedColumn(),
        console=Console(file=stream, stderr=True), transient=True, redirect_stdout=False,
        redirect_stderr=False,
    )  # fmt: skip
