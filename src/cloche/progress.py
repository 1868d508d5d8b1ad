"""Progress of long work; the command line renders it, other callers may ignore it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: int) -> None:
        """Add to the finished amount, in the unit of the task (bytes for downloads and copies)."""

    def note(self, text: str) -> None:
        """Show the current activity, in a few words."""


class Progress(Protocol):
    """Where tasks are announced."""

    def task(self, title: str, total: int | None = None) -> AbstractContextManager[Task]:
        """Announce work (`Installing Triton 24.10`); `total` is in bytes, None if unknown.

        The task ends with the context: as failed after an exception, else as done.
        """


class _SilentTask:
    def advance(self, amount: int) -> None: ...

    def note(self, text: str) -> None: ...


class SilentProgress:
    """Progress that shows nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:  # noqa: ARG002
        yield _SilentTask()
