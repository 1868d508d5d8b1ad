"""Following a rollout over a control plane that goes away meanwhile."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from cloche.artifacts import Event, EventKind, Standing
from cloche.clients.control.rollout_events import RECONNECTS, follow, see_through
from cloche.errors import UnavailableError

EVENT = Event(
    "2026-01-01T00:00:00+00:00", "a", 1, EventKind.PHASE, "Revision 1 is live.", "me", cursor="1"
)


class Control:
    """Answers after some failures; an answer says that revision 1 is live."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def revision(self, service: str, number: int) -> Any:
        if self.left:
            self.left -= 1
            raise UnavailableError("control.unreachable", "The control plane went away.")
        return SimpleNamespace(phase=Standing.LIVE, rollout=None)

    def events(self, service: str, *, after: str, wait: float) -> list[Event]:
        return [EVENT]


def followed(failures: int) -> tuple[list[Event], list[float]]:
    control, slept = Control(failures), []
    found = follow(lambda: control, "a", 1, timeout=60, clock=lambda: 0.0, sleep=slept.append)
    return list(found), slept


def test_a_control_plane_that_ends_is_given_time() -> None:
    events, slept = followed(RECONNECTS)
    assert events == [EVENT]
    assert len(slept) == RECONNECTS
    assert slept == sorted(slept)
    assert sum(slept) > 1


def test_one_that_stays_away_is_said() -> None:
    with pytest.raises(UnavailableError):
        followed(RECONNECTS + 1)


class Slow(Control):
    """Has no event while its replica loads, twice, and is live then."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked = 0

    def revision(self, service: str, number: int) -> Any:
        phase = Standing.LIVE if self.asked == 2 else Standing.STARTING
        return SimpleNamespace(phase=phase, rollout=None)

    def events(self, service: str, *, after: str, wait: float) -> list[Event]:
        return []

    def service(self, name: str) -> Any:
        self.asked += 1
        replica = {"revision": 1, "phase": "starting", "detail": "It is loading its model."}
        ready = {"revision": 1, "phase": "ready", "detail": None}
        return {"replicas": {"items": [ready, replica]}}


def test_what_a_rollout_waits_for_is_said() -> None:
    notes: list[str] = []
    task = SimpleNamespace(note=notes.append)
    progress = SimpleNamespace(task=lambda _: nullcontext(task))
    control = Slow()
    see_through(lambda: control, "a", 1, progress=progress, timeout=60)
    assert notes == ["waiting for a replica: It is loading its model."] * 2
