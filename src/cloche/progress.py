"""How long work tells that it is alive; the command line renders it, others may stay silent."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: int) -> None:
        """Add to what is done, in the unit of the task (bytes for downloads and copies)."""

    def note(self, text: str) -> None:
        """Say what is happening now, in a few words."""


class Progress(Protocol):
    """Where tasks are announced."""

    def task(self, title: str, total: int | None = None) -> AbstractContextManager[Task]:
        """Announce work (`Installing Triton 24.10`); `total` is in bytes, None when not known.

        Leaving the context ends the task: normally as done, by an exception as failed.
        """


class _SilentTask:
    def advance(self, amount: int) -> None: ...

    def note(self, text: str) -> None: ...


class SilentProgress:
    """Progress for callers that show none."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:  # noqa: ARG002
        yield _SilentTask()
