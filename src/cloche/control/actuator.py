"""Acts on decisions: applies the service to its target and begins the slow work beside it.

`apply` is level-triggered: each tick tells the target what the service should be, and the target
does nothing if it already is. Only after an error is there a pause before the next try.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from cloche.artifacts import Verification
from cloche.control.background import Background, Key, unforeseen
from cloche.control.troubles import WHOLE
from cloche.errors import ClocheError, NotFoundError
from cloche.rollout import record as rules
from cloche.targets import ApplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from cloche.artifacts import Revision, Rollout
    from cloche.control.background import Finished
    from cloche.control.records import Records
    from cloche.control.troubles import Troubles
    from cloche.control.verifier import Verifier
    from cloche.rollout.decide import Decision
    from cloche.rollout.situation import Situation
    from cloche.targets import Desired, Target

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


class Actuator:
    """Acts on decisions and notes their errors."""

    def __init__(
        self,
        records: Records,
        target: Target,
        verifier: Verifier,
        background: Background[Verification],
        troubles: Troubles,
        *,
        may_act: Callable[[str], bool],
    ) -> None:
        self._records = records
        self._target = target
        self._verifier = verifier
        self._background = background
        self._troubles = troubles
        self._may_act = may_act
        self._refused: dict[str, tuple[Desired, datetime]] = {}
        """By service: what could not be applied completely, and when that was tried."""

    def act(self, situation: Situation, decision: Decision) -> None:
        """Apply the service and begin the work that a decision asks for."""
        if decision.desired is not None:
            self._apply(situation, decision.desired)
        rollout = situation.record.rollout
        if rollout is not None and rollout.to in situation.revisions:
            self._begin_work(situation, decision, rollout, situation.revisions[rollout.to])

    def record_work(self) -> bool:
        """Record the results of finished work; return whether there were any.

        What ends while another host acts is forgotten: that one does the work itself.
        """
        finished = self._background.finished()
        for piece in finished:
            try:
                if self._may_act(piece.key.service):
                    self._keep(piece)
            except ClocheError as error:
                # The result stays until it can be recorded: a full disk may get room again.
                _log.error("%s: %s", error.code, error.what)
            else:
                self._background.take(piece)
        return bool(finished)

    def prune(self, services: Collection[str]) -> None:
        """Forget services that are gone."""
        self._troubles.prune(services)
        self._refused = {name: tried for name, tried in self._refused.items() if name in services}

    def _apply(self, situation: Situation, desired: Desired) -> None:
        name, now = desired.service, situation.now
        refused = self._refused.get(name)
        recent = refused is not None and (now - refused[1]).total_seconds() < _RETRY_SECONDS
        if refused is not None and refused[0] == desired and recent:
            return
        errors: dict[int | None, ClocheError] = {}
        try:
            self._target.apply(desired)
        except ApplyError as error:
            errors = error.by_revision
        except ClocheError as error:
            errors = {None: error}
        except Exception as error:  # noqa: BLE001  (a defect with one service must not stop the others)
            errors = {None: unforeseen(error)}
        self._note(desired, errors)
        if errors:
            self._refused[name] = desired, now
        else:
            self._refused.pop(name, None)

    def _note(self, desired: Desired, errors: dict[int | None, ClocheError]) -> None:
        if not errors:
            self._troubles.clear(desired.service, "apply")
            return
        numbers = {WHOLE, *(placement.revision for placement in desired.placements)}
        numbers |= {number for number in errors if number is not None}
        for number in numbers:
            error = errors.get(None if number == WHOLE else number)
            self._troubles.note(desired.service, number, "apply", error)

    def _begin_work(
        self, situation: Situation, decision: Decision, rollout: Rollout, revision: Revision
    ) -> None:
        if decision.verify:
            limit = situation.record.operated.start_limit
            verify = partial(self._verify, revision, limit=limit)
            self._background.submit(_key(revision, "verify", rollout), verify)

    def _verify(self, revision: Revision, *, limit: float) -> Verification:
        with self._target.reach(revision.service, revision.number) as address:
            return self._verifier.verify(revision, address, limit=limit)

    def _keep(self, piece: Finished[Verification]) -> None:
        service, number = piece.key.service, piece.key.revision
        try:
            self._record(service, number, piece)
        except NotFoundError:
            return  # deleted meanwhile
        self._troubles.note(service, number, piece.key.kind, piece.error)

    def _record(self, service: str, number: int, piece: Finished[Verification]) -> None:
        result = piece.result
        if result is None:
            return
        self._records.state.attach(service, number, result)
        self._records.change(
            service,
            lambda record: rules.judge(
                record, result, begun=piece.key.rollout, at=self._records.now()
            ),
        )


def _key(revision: Revision, kind: str, rollout: Rollout) -> Key:
    return Key(revision.service, revision.number, kind, rollout.started_at)
