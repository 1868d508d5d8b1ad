"""Doing what a plan says: telling the target, and the slow work beside it.

The target is told again only when what it is told changes, or when it does not show what it was
told for a while; a new control plane tells everything once, which is how it adopts what runs.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Protocol

from cloche.artifacts import Golden, Verification
from cloche.control.background import Finished, Workers, unforeseen
from cloche.errors import ClocheError
from cloche.targets.target import ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from cloche.artifacts import Revision
    from cloche.rollout.phases import Plan, Situation
    from cloche.state.state import State
    from cloche.targets.target import Observation, Placement, Route, Target

_log = logging.getLogger(__name__)
_AGAIN_SECONDS = 1.0


class Verifier(Protocol):
    """Makes golden requests and checks answers; both take their time and have limits of their own.

    Raise ClocheError; a retriable one is tried again until the limit of the phase.
    """

    def golden(self, revision: Revision) -> Golden:
        """Make the golden request of a revision by a direct run of its model."""

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:
        """Send the golden request to the server at a base URL and compare the answer."""


class Actions:
    """What has been told to the target in this process, and what went wrong with it."""

    def __init__(
        self, state: State, target: Target, verifier: Verifier, wake: Callable[[], None]
    ) -> None:
        self._state = state
        self._target = target
        self._verifier = verifier
        self._workers: Workers[Golden | Verification] = Workers(wake)
        self._told: dict[tuple[str, str, int], tuple[int | None, datetime]] = {}
        """By `place` or `remove`, service and revision: how many replicas, and when."""
        self._routed: tuple[tuple[Route, ...], datetime] | None = None
        self._troubles: dict[tuple[str, int], dict[str, ClocheError]] = {}

    def trouble(self, service: str, number: int) -> ClocheError | None:
        """Return what goes wrong with a revision at the moment, the gravest first."""
        found = self._troubles.get((service, number), {}).values()
        return min(found, key=lambda error: error.retriable, default=None)

    def apply(self, situation: Situation, planned: Plan) -> None:
        """Place, remove and begin the work that a plan of one service asks for."""
        wanted, now = situation.wanted, situation.now
        for placement in planned.placements:
            self._place(placement, situation.observation, now)
        for number in planned.removals:
            self.remove(wanted.service, number, now)
        if planned.make_golden:
            key = (wanted.service, wanted.number, "golden")
            self._workers.submit(key, partial(self._verifier.golden, wanted))
        if planned.verify_at is not None and wanted.golden is not None:
            key = (wanted.service, wanted.number, "verify")
            work = partial(self._verifier.verify, wanted, wanted.golden, planned.verify_at)
            self._workers.submit(key, work)
        if planned.forget and not self._failed_removals(wanted.service):
            self._state.forget(wanted.service)

    def remove(self, service: str, number: int, now: datetime) -> None:
        """Have the replicas of a revision drained and stopped."""
        key = ("remove", service, number)
        if not self._is_due(key, None, now, shown=False):
            return
        self._told[key] = (None, now)
        self._told.pop(("place", service, number), None)
        self._attempt("remove", [(service, number)], lambda: self._target.remove(service, number))

    def route(self, routes: Sequence[Route], observation: Observation, now: datetime) -> None:
        """Make these the routes of the gateway."""
        shown = set(routes) == set(observation.routes)
        if self._routed is not None and self._routed[0] == tuple(routes):
            since = (now - self._routed[1]).total_seconds()
            if shown or since < _AGAIN_SECONDS:
                return
        self._routed = (tuple(routes), now)
        of = [(route.service, route.revision) for route in routes]
        self._attempt("route", of, lambda: self._target.route(routes))

    def record_work(self) -> bool:
        """Record what work has come to; returns whether there was any."""
        finished = self._workers.finished()
        for piece in finished:
            try:
                self._keep(piece)
            except ClocheError as error:
                # The result stays until it can be recorded: the disk may have room again.
                _log.error("%s: %s", error.code, error.what)
            else:
                self._workers.take(piece)
        return bool(finished)

    def prune(self, services: Collection[str], observation: Observation) -> None:
        """Forget what was told and went wrong about services that are gone."""
        running = {replica.service for replica in observation.replicas}
        known = running | set(services)
        self._troubles = {key: found for key, found in self._troubles.items() if key[0] in known}
        self._told = {key: told for key, told in self._told.items() if key[1] in known}

    def _place(self, placement: Placement, observation: Observation, now: datetime) -> None:
        service, number = placement.service, placement.revision
        running = Counter(
            (replica.service, replica.revision)
            for replica in observation.replicas
            if replica.phase is not ReplicaPhase.STOPPING
        )
        shown = running[service, number] == placement.replicas
        key = ("place", service, number)
        if not self._is_due(key, placement.replicas, now, shown=shown):
            return
        # Also when it fails, so that what cannot be placed is not tried at each tick.
        self._told[key] = (placement.replicas, now)
        self._told.pop(("remove", service, number), None)
        self._attempt("place", [(service, number)], lambda: self._target.place(placement))

    def _is_due(
        self, key: tuple[str, str, int], value: int | None, now: datetime, *, shown: bool
    ) -> bool:
        told = self._told.get(key)
        if told is None or told[0] != value:
            return True
        return not shown and (now - told[1]).total_seconds() >= _AGAIN_SECONDS

    def _attempt(self, kind: str, of: Sequence[tuple[str, int]], act: Callable[[], None]) -> None:
        """Do something to some revisions; what goes wrong is kept as their trouble."""
        problem: ClocheError | None = None
        try:
            act()
        except ClocheError as error:
            problem = error
        except Exception as error:  # noqa: BLE001  (a defect with one revision is its failure)
            problem = unforeseen(error)
        for service, number in of:
            self._note(service, number, kind, problem)

    def _failed_removals(self, service: str) -> bool:
        return any("remove" in found for key, found in self._troubles.items() if key[0] == service)

    def _note(self, service: str, number: int, kind: str, problem: ClocheError | None) -> None:
        found = self._troubles.setdefault((service, number), {})
        before = found.pop(kind, None)
        if problem is None:
            return
        found[kind] = problem
        if before is None or before.to_dict() != problem.to_dict():
            _log.warning("%s r%d: %s: %s", service, number, problem.code, problem.what)
            self._state.record(
                service, "trouble", problem.what, revision=number, error=problem.to_dict()
            )

    def _keep(self, piece: Finished[Golden | Verification]) -> None:
        service, number, kind = piece.key
        if self._state.revision(service, number) is None:
            return  # deleted meanwhile
        if isinstance(piece.result, Golden):
            self._state.attach(service, number, golden=piece.result)
        elif isinstance(piece.result, Verification):
            self._state.attach(service, number, verification=piece.result)
        self._note(service, number, kind, piece.error)
