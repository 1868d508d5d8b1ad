"""Waiting for what a command asked for: one loop, whatever it asks about."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.errors import ClocheError
    from cloche.progress import Task

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a control plane found."""

    status: dict[str, Any]
    done: bool
    so_far: str
    """How far it is, for people: `2 of 3 replicas are ready`."""


def late(code: str, found: Look, name: str, timeout: float, hint: str) -> UnavailableError:
    """Return the error for what took a service longer than `timeout` seconds."""
    what = f"After {timeout:.0f} s {name} had {found.so_far}."
    return UnavailableError(code, what, where=name, hint=hint)


def until_done(
    look: Callable[[], Look], task: Task, timeout: float, error: Callable[[Look], ClocheError]
) -> dict[str, Any]:
    """Return the status of the first look that found what is waited for.

    Raises its `error` if the look after `timeout` seconds does not, and what a look raises.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found.done:
            return found.status
        if time.monotonic() > deadline:
            raise error(found)
        task.note(found.so_far)
        time.sleep(POLL_SECONDS)
