"""The loop that brings what runs to what is recorded.

Each tick observes, plans each service with `rollout.phases`, records the transition, and only then
acts. All of it is idempotent, so a tick may end anywhere, by `kill -9` too, and the next one, of
this process or another, goes on from the record.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Phase
from cloche.control.actuator import Actions
from cloche.control.background import unforeseen
from cloche.control.replica_watch import ReplicaWatch
from cloche.errors import ClocheError, SupersededError
from cloche.rollout.phases import Advance, Fail, Limits, Situation, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.control.actuator import Verifier
    from cloche.rollout.phases import Plan, Transition
    from cloche.state.state import State
    from cloche.targets.target import Observation, Route, Target

_log = logging.getLogger(__name__)

_FASTEST = 0.05
_SLOWEST = 1.0
_TRANSITIONS = 8
"""More than the phases there are: a tick takes a revision as far as it can get."""
_LOG_LINES = 20


class Reconciler:
    """Ticks, in a thread of its own or called by a test; see `tick`."""

    def __init__(
        self,
        state: State,
        target: Target,
        verifier: Verifier,
        *,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits | None = None,
    ) -> None:
        self._state = state
        self._target = target
        self._changed = changed
        self._clock = clock
        self._limits = limits or Limits()
        self._resumed = self._busy_since = clock()
        self._actions = Actions(state, target, verifier, self.wake)
        self._watch = ReplicaWatch(state)
        self._event = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def trouble(self, service: str, number: int) -> ClocheError | None:
        """Return what goes wrong with a revision at the moment; None when nothing does."""
        return self._actions.trouble(service, number)

    # ── the thread ────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Tick in the background until `stop`; a first tick has been made when this returns."""
        self._stopping = False
        self._attempt()
        self._thread = threading.Thread(target=self._run, name="cloche-reconcile", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 30.0) -> None:
        """End the thread after the tick under way; what runs goes on."""
        self._stopping = True
        self._event.set()
        if self._thread is not None:
            self._thread.join(patience)
            self._thread = None

    def wake(self) -> None:
        """Tick soon: something was recorded, or work has ended."""
        self._busy_since = self._clock()
        self._event.set()

    def _run(self) -> None:
        delay = 0.0
        while not self._stopping:
            self._event.wait(delay)
            self._event.clear()
            if not self._stopping:
                delay = self._attempt()

    def _attempt(self) -> float:
        try:
            return self.tick()
        except ClocheError as error:
            _log.error("%s: %s (%s)", error.code, error.what, error.where)
        except Exception as error:  # noqa: BLE001  (the loop outlives a defect in one tick)
            unforeseen(error)
        return _SLOWEST

    # ── one tick ──────────────────────────────────────────────────────────────────────────────

    def tick(self) -> float:
        """Take every service as far as it can get now; returns the seconds until the next tick.

        Short after something has happened and longer the longer nothing does, so that a wait costs
        little and is never prolonged by more than a fiftieth; a second when nothing is to come.
        """
        now = self._clock()
        observation = self._target.observe()
        happened = self._watch.note(observation)
        happened = self._actions.record_work() or happened
        routes: list[Route] = []
        settled = True
        names = []
        for record in self._state.services():
            names.append(record.name)
            wanted, quiet = self._attend(record.name, observation, now)
            routes.extend(wanted)
            settled = settled and quiet
        for replica in observation.replicas:
            if replica.service not in names:
                self._actions.remove(replica.service, replica.revision, now)
        self._actions.route(routes, observation, now)
        self._actions.prune(names, observation)
        if happened:
            self._happened(now)
        quiet_for = (now - self._busy_since).total_seconds()
        return _SLOWEST if settled else min(max(quiet_for / 50, _FASTEST), _SLOWEST)

    def _attend(
        self, service: str, observation: Observation, now: datetime
    ) -> tuple[Sequence[Route], bool]:
        """Plan and apply one service; returns its routes and whether it has nothing to wait for.

        Trouble with one service is never another's, and leaves its own routes as they are.
        """
        try:
            settled = self._settle(service, observation, now)
            if settled is None:
                return (), False
            situation, planned = settled
            self._actions.apply(situation, planned)
        except ClocheError as error:
            _log.error("%s: %s: %s", service, error.code, error.what)
        except Exception as error:  # noqa: BLE001
            unforeseen(error)
        else:
            if planned.forget:
                self._happened(now)
            return planned.routes, planned.settled
        return [route for route in observation.routes if route.service == service], False

    def _settle(
        self, service: str, observation: Observation, now: datetime
    ) -> tuple[Situation, Plan] | None:
        """Record transitions until there is none left; None when the service is gone."""
        for _ in range(_TRANSITIONS):
            situation = self._situation(service, observation, now)
            if situation is None:
                return None
            planned = plan(situation)
            if planned.transition is None:
                return situation, planned
            self._record(service, planned.transition)
            self._happened(now)
        raise ClocheError("internal", f"The rollout of {service} does not come to rest.")

    def _situation(self, service: str, observation: Observation, now: datetime) -> Situation | None:
        record = self._state.service(service)
        wanted = self._state.revision(service, record.wanted) if record else None
        if record is None or wanted is None:
            return None
        live = wanted if record.live == record.wanted else None
        if live is None and record.live is not None:
            live = self._state.revision(service, record.live)
        return Situation(
            record=record,
            wanted=wanted,
            live=live,
            observation=observation,
            now=now,
            resumed=self._resumed,
            trouble=self._actions.trouble(service, wanted.number),
            limits=self._limits,
        )

    def _record(self, service: str, transition: Transition) -> None:
        if isinstance(transition, Advance):
            self._state.attach(service, transition.number, phase=transition.phase)
        elif isinstance(transition, Fail):
            failure = self._with_log(service, transition)
            self._state.attach(service, transition.number, phase=Phase.FAILED, failure=failure)
        else:
            # A deploy between the look and this takes over: the next look sees it.
            with suppress(SupersededError):
                self._state.set_live(service, transition.number)

    def _with_log(self, service: str, fail: Fail) -> dict[str, Any]:
        """Return the failure with the last lines of the log that says why."""
        if fail.replica is None or fail.failure.get("log"):
            return fail.failure
        found: list[str] = []
        with suppress(ClocheError, OSError):  # the failure counts more than its log
            said = self._target.logs(service, fail.number, lines=_LOG_LINES, follow=False)
            found = [line for replica, line in said if replica == fail.replica]
        return {**fail.failure, "log": found}

    def _happened(self, now: datetime) -> None:
        self._busy_since = now
        self._changed()
