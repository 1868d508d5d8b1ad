"""How long work tells that it is alive; the command line renders it, others may stay silent."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Step(Protocol):
    """One piece of work under way."""

    def advance(self, amount: int) -> None:
        """Add to what is done, in the unit of the step (bytes for downloads and copies)."""

    def note(self, text: str) -> None:
        """Say what is happening now, in a few words."""


class Progress(Protocol):
    """Where steps are announced."""

    def step(self, title: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Announce work (`Installing Triton 24.10`); `total` is in bytes, None when not known.

        Leaving the context ends the step: normally as done, by an exception as failed.
        """


class _SilentStep:
    def advance(self, amount: int) -> None: ...

    def note(self, text: str) -> None: ...


class SilentProgress:
    """Progress for callers that show none."""

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:  # noqa: ARG002
        yield _SilentStep()
