"""The loop that makes what runs match what is recorded.

Each tick observes each service, decides with `rollout.decide`, records the transition, and only
then acts. Every step can be repeated: a tick may end anywhere, even by `kill -9`, and the next one,
of this process or another, continues from the record.

It attends only services that it may act for (`cloche.state.Hold`). Where it may not, it leaves all
to the host that may, and goes on when that is gone.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Attached, Phase
from cloche.control.actuator import Actuator
from cloche.control.attendance import Attendance
from cloche.control.background import Background, unforeseen
from cloche.control.records import Records
from cloche.control.replica_watch import ReplicaWatch
from cloche.control.troubles import WHOLE, Troubles
from cloche.errors import ClocheError, StaleError
from cloche.rollout import record as rules
from cloche.rollout.decide import Advance, Complete, Fail, decide
from cloche.rollout.situation import Limits, Situation
from cloche.state import AlwaysHeld

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import ServiceRecord, Verification
    from cloche.control.verifier import Verifier
    from cloche.rollout.decide import Decision, Transition
    from cloche.rollout.record import Changed
    from cloche.state import Hold, Journal, State, Stored
    from cloche.targets import ServiceObservation, Target

_log = logging.getLogger(__name__)

_FASTEST = 0.05
_SLOWEST = 1.0
_TRANSITIONS = 8
"""More than there are phases: a tick takes a rollout as far as it can get."""
_LOG_LINES = 20
_HANGS_AFTER = 120.0
"""Seconds that no tick takes: what it waits for has limits that are shorter."""


@dataclass(frozen=True, slots=True)
class TickResult:
    """What a tick found for one service: nothing left to wait for; something changed."""

    settled: bool
    happened: bool


class Reconciler:
    """Runs `tick`, in a thread of its own or called by a test."""

    def __init__(
        self,
        state: State,
        journal: Journal,
        target: Target,
        verifier: Verifier,
        *,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._state = state
        self._target = target
        self._changed = changed
        self._clock = clock
        self._limits = limits or Limits()
        self._busy_since = clock()
        self._attendance = Attendance(state, hold or AlwaysHeld(), self._busy_since)
        self.records = Records(state, journal, clock)
        self.background: Background[Verification] = Background(
            self.wake, clock=lambda: clock().timestamp()
        )
        self._troubles = Troubles(self.records)
        self._actuator = Actuator(
            self.records,
            target,
            verifier,
            self.background,
            self._troubles,
            may_act=self._attendance.may_act,
        )
        self._watch = ReplicaWatch(self.records)
        self._event = threading.Event()
        self._stopping = False
        self._ticked_at = time.monotonic()
        self._thread: threading.Thread | None = None

    @property
    def ticks(self) -> bool:
        """Return whether it goes on: its thread has come round within a minute or two."""
        return time.monotonic() - self._ticked_at < _HANGS_AFTER

    def trouble(self, service: str, number: int) -> ClocheError | None:
        """Return the current error of a revision; None if it has none."""
        return self._troubles.of(service, number)

    # ── the thread ────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Tick once, then in the background until `stop`."""
        self._stopping = False
        self._attempt()
        self._thread = threading.Thread(target=self._run, name="cloche-reconcile", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 30.0) -> None:
        """End the thread after the current tick; wait up to `patience` seconds. Replicas run on."""
        self._stopping = True
        self._event.set()
        if self._thread is not None:
            self._thread.join(patience)
            self._thread = None

    def wake(self) -> None:
        """Tick soon: something was recorded, or work ended."""
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
        self._ticked_at = time.monotonic()
        try:
            return self.tick()
        except ClocheError as error:
            _log.error("%s: %s (%s)", error.code, error.what, error.where)
        except Exception as error:  # noqa: BLE001  (the loop outlives a defect in one tick)
            unforeseen(error)
        return _SLOWEST

    # ── one tick ──────────────────────────────────────────────────────────────────────────────

    def tick(self) -> float:
        """Take every service it attends as far as it can get; return seconds until the next tick.

        Polls fast after a change and backs off to 1 s, adding at most 2 % to a wait. If all
        services are settled, the next tick is in 1 s.
        """
        now = self._clock()
        happened = self._actuator.record_work()
        settled = True
        names = self._attendance.services(now)
        for name in names:
            result = self._attend(name, now)
            settled = settled and result.settled
            happened = happened or result.happened
        self._actuator.prune(names)
        self._watch.prune(names)
        if happened:
            self._busy_since = now
            self._changed()
        quiet_for = (now - self._busy_since).total_seconds()
        return _SLOWEST if settled else min(max(quiet_for / 50, _FASTEST), _SLOWEST)

    def _attend(self, service: str, now: datetime) -> TickResult:
        """Decide and act for one service; an error with it does not stop the others."""
        try:
            result = self._settle(service, now)
        except StaleError:
            return TickResult(settled=False, happened=False)  # the next tick reads the new record
        except ClocheError as error:
            self._note(service, error)
        except Exception as error:  # noqa: BLE001  (see the docstring)
            self._note(service, unforeseen(error))
        else:
            self._troubles.note(service, WHOLE, "decide", None)
            return result
        return TickResult(settled=False, happened=False)

    def _note(self, service: str, error: ClocheError) -> None:
        """Show an error of deciding for a service in status and events."""
        try:
            self._troubles.note(service, WHOLE, "decide", error)
        except ClocheError as problem:
            _log.error("%s: %s: %s", service, problem.code, problem.what)

    def _settle(self, service: str, now: datetime) -> TickResult:
        """Record transitions until none is left, then act."""
        observation = self._target.observe(service)
        happened = self._watch.note(observation)
        for _ in range(_TRANSITIONS):
            stored = self._state.service(service)
            if stored is None:
                return TickResult(settled=True, happened=happened)
            situation = self._situation(stored.record, observation, now)
            decision = decide(situation)
            if not self._attendance.may_act(service):  # since the tick began
                return TickResult(settled=False, happened=happened)
            if decision.transition is None:
                removed = self._act(stored, situation, decision)
                return TickResult(decision.settled, happened or removed)
            self._record(stored, decision.transition)
            happened = True
        raise ClocheError("internal", f"The rollout of {service} does not come to rest.")

    def _act(self, stored: Stored, situation: Situation, decision: Decision) -> bool:
        """Act on a decision; return whether the service's record was removed."""
        self._actuator.act(situation, decision)
        name = stored.record.name
        if not decision.forget or self._troubles.has(name, "apply"):
            return False
        self._state.delete(name, expect=stored.version)
        self.records.journal.append([rules.deleted(name, at=self.records.now())])
        return True

    def _situation(
        self, record: ServiceRecord, observation: ServiceObservation, now: datetime
    ) -> Situation:
        rollout = record.rollout
        numbers = {replica.revision for replica in observation.replicas} | set(observation.split)
        numbers |= {number for number in (record.live, rollout and rollout.to) if number}
        revisions = {
            number: revision
            for number in numbers
            if (revision := self._state.revision(record.name, number)) is not None
        }
        attached, live, trouble = Attached(), None, None
        if rollout is not None:
            if record.live is not None:
                live = self._state.attached(record.name, record.live).verification
            attached = self._state.attached(record.name, rollout.to)
            trouble = self._troubles.of(record.name, rollout.to)
        return Situation(
            record=record,
            revisions=revisions,
            attached=attached,
            observation=observation,
            now=now,
            resumed=self._attendance.since(record.name),
            live=live,
            trouble=trouble,
            limits=self._limits,
        )

    def _record(self, stored: Stored, transition: Transition) -> None:
        """Write the record after a transition over the record that it was decided from."""
        self.records.put(stored, self._next_record(stored.record, transition))

    def _next_record(self, record: ServiceRecord, transition: Transition) -> Changed:
        at = self.records.now()
        if isinstance(transition, Advance):
            if transition.phase is Phase.STARTING and record.rollout is not None:
                self._troubles.forget(record.name, record.rollout.to)  # of an earlier rollout
            return rules.advance(record, transition.phase, at=at, size=transition.size)
        if isinstance(transition, Fail):
            return rules.fail(record, self._with_log(record, transition), at=at)
        if isinstance(transition, Complete):
            return rules.complete(record, at=at)
        return rules.shift(record, transition.step, at=at)

    def _with_log(self, record: ServiceRecord, fail: Fail) -> dict[str, Any]:
        """Return the failure with the last lines of its replica's log."""
        rollout = record.rollout
        if rollout is None or fail.replica is None or fail.failure.get("log"):
            return fail.failure
        lines: list[str] = []
        with suppress(ClocheError, OSError):  # the failure is recorded even without its log
            log = self._target.logs(record.name, rollout.to, lines=_LOG_LINES, follow=False)
            lines = [line for replica, line in log if replica == fail.replica]
        return {**fail.failure, "log": lines}
