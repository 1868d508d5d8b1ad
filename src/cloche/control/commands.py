"""The commands of an engine: each is decided from one record and written over it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from cloche.artifacts import (
    Cause,
    ChangeKind,
    DeployAnswer,
    Operated,
    ReplicaRange,
    Revision,
    ServiceRecord,
    Verification,
)
from cloche.control import planning, requests
from cloche.control.records import retry_when_stale
from cloche.errors import ClocheError, ConflictError, UnavailableError, UsageError
from cloche.refusals import adopted_stays, being_deleted
from cloche.rollout import consent, strategy, words
from cloche.rollout import record as rules
from cloche.rollout.adoption import adopt
from cloche.rollout.decide import placement
from cloche.rollout.record import Changed
from cloche.rollout.restart import restart
from cloche.rollout.rollback import destination
from cloche.targets import Desired, ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cloche.artifacts import Consent, Deployment, DeployPlan, Finding
    from cloche.control.records import Records
    from cloche.state import Stored
    from cloche.targets import Target

_CHANGES = {
    ChangeKind.NONE: "none",
    ChangeKind.SCALE: "scaled",
    ChangeKind.UPDATE: "revision",
    ChangeKind.CREATE: "revision",
}


_WAITING = {ReplicaPhase.RESTARTING, ReplicaPhase.FAILED}


class Commands:
    """Runs deploy, rollback, scale, restart and delete, one at a time."""

    def __init__(self, records: Records, target: Target) -> None:
        self._records = records
        self._state = records.state
        self._target = target
        self._lock = threading.Lock()
        self.ending = False

    def end(self) -> None:
        """Refuse every later command: the control plane is ending."""
        with self._lock:
            self.ending = True

    def plan(self, deployment: Deployment) -> DeployPlan:
        """Return what `deploy` would change, decided by the same function."""
        return self._decide(deployment, self._state.service(deployment.service))

    def deploy(
        self, deployment: Deployment, *, accept: Collection[Consent], by: str
    ) -> DeployAnswer:
        """Record a deployment; `cloche.rollout.change` decides what it changes."""
        requests.check_whole(deployment)
        name = deployment.service
        added: int | None = None

        def attempt() -> DeployAnswer:
            nonlocal added
            stored = self._state.service(name)
            if stored is not None and stored.record.deleting:
                raise being_deleted(name)
            plan = self._decide(deployment, stored)
            consent.require(plan, accept)
            if plan.revision is None and not self._is_kept(deployment, added):
                added = self._add_revision(deployment, by)
            number = plan.revision or added or 0
            changed = self._change_record(stored, deployment, plan, number, accept=accept, by=by)
            operated = changed.record.operated
            foreseen = self._target.foresee(planning.asked_for(deployment, operated))
            self._records.put(stored, changed)
            answer = DeployAnswer(change=_CHANGES[plan.kind], revision=number)
            return {**answer, "findings": foreseen} if foreseen else answer

        with self._one_at_a_time():
            return retry_when_stale(attempt)

    def adopt(self, deployment: Deployment, *, by: str) -> int:
        """Record what runs already as the first revision of a new service; return its number.

        Raises StaleError if someone else made the service meanwhile.
        """
        with self._one_at_a_time():
            number = self._add_revision(deployment, by)
            self._records.put(None, adopt(deployment, number, by=by, at=self._records.now()))
            return number

    def rollback(self, name: str, to: int | None, *, verify: bool, by: str) -> DeployAnswer:
        """Begin a rollout to a recorded revision, from its kept files."""

        def attempt() -> DeployAnswer:
            stored = self._records.stored(name)
            record = stored.record
            revisions = {revision.number: revision for revision in self._state.revisions(name)}
            number = destination(record, to, revisions)
            at = self._records.now()
            if number == record.live:
                changed = rules.stay(record, by=by, at=at, cause=Cause.ROLLBACK)
            else:
                self._require_kept(record, revisions[number])
                self._require_room(record, revisions[number])
                if not verify:
                    self._require_verified(record, number)
                what = words.rolled_back(number, record.live, verify=verify)
                detail = {"from": record.live, "verify": verify}
                changed = rules.begin(
                    record, number, Cause.ROLLBACK, by=by, at=at, what=what, verify=verify,
                    detail=detail,
                )  # fmt: skip
            self._records.put(stored, changed)
            return DeployAnswer(change="revision", revision=number)

        with self._one_at_a_time():
            return retry_when_stale(attempt)

    def scale(self, name: str, replicas: int | ReplicaRange, *, by: str) -> tuple[Finding, ...]:
        """Change the number of replicas; return what the target has to say about it."""
        asked_range = requests.replica_range(replicas)
        operated = Operated(replicas=asked_range)

        def rule(record: ServiceRecord) -> Changed:
            if record.deleting:
                raise being_deleted(name)
            if self._target.autoscales:
                requests.check_scale(name, record.operated, asked_range)
            return rules.operate(record, operated, by=by, at=self._records.now())

        with self._one_at_a_time():
            record = self._records.stored(name).record
            live = self._state.revision(name, record.live) if record.live is not None else None
            asked = live.deployment.repository if live is not None else None
            merged = operated.over(record.operated)
            desired = Desired(name, operated=merged, asked=asked)
            self._target.admit(desired)
            foreseen = self._target.foresee(desired)
            self._records.change(name, rule)
            return foreseen

    def restart(self, name: str, *, by: str) -> None:
        """Have each replica of the live revision replaced by a new one."""
        with self._one_at_a_time():
            at, live = self._records.now(), self._records.stored(name).record.live
            revision = self._state.revision(name, live) if live is not None else None
            if revision is not None and (adopted := revision.deployment.adopted) is not None:
                raise adopted_stays(name, adopted.deployment)
            self._records.change(name, lambda record: restart(record, by=by, at=at))

    def delete(self, name: str, *, by: str) -> None:
        """Begin to remove a service."""
        with self._one_at_a_time():
            at = self._records.now()
            self._records.change(name, lambda record: rules.mark_deleting(record, by=by, at=at))

    def missing(self, record: ServiceRecord, revision: Revision) -> ClocheError | None:
        """Return why a revision cannot be brought back; None if it can."""
        desired = Desired(
            record.name,
            (placement(revision, record.operated),),
            {revision.number: strategy.ALL},
            record.operated,
        )
        try:
            self._target.admit(desired)
        except ClocheError as error:
            return error
        return None

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with self._lock:
            if self.ending:
                what = "The control plane is ending because of `cloche down`."
                raise UnavailableError("control.ending", what, hint="Try again in a moment.")
            yield

    def _decide(self, deployment: Deployment, stored: Stored | None) -> DeployPlan:
        now = datetime.fromisoformat(self._records.now())
        recorded = planning.recorded_of(stored, self._state, self._target, now)
        plan = planning.plan_deploy(deployment, recorded, self._target)
        return planning.with_objects(plan, deployment, recorded, self._state, self._target)

    def _is_kept(self, deployment: Deployment, number: int | None) -> bool:
        """Return whether a revision that was added is still there.

        A state may remove one that no record names for a long time, and give its number again.
        """
        if number is None:
            return False
        revision = self._state.revision(deployment.service, number)
        return revision is not None and revision.digest == deployment.digest

    def _add_revision(self, deployment: Deployment, by: str) -> int:
        number = self._state.last_number(deployment.service) + 1
        revision = Revision(
            service=deployment.service,
            number=number,
            digest=deployment.digest,
            deployment=deployment,
            created_at=self._records.now(),
            by=by,
        )
        self._state.add_revision(revision)
        return number

    def _change_record(
        self,
        stored: Stored | None,
        deployment: Deployment,
        plan: DeployPlan,
        number: int,
        *,
        accept: Collection[Consent],
        by: str,
    ) -> Changed:
        """Return the record after a deployment of the revision `number`."""
        at = self._records.now()
        if stored is None:
            changed = Changed(ServiceRecord(deployment.service, deployment.operated))
        else:
            changed = rules.operate(stored.record, deployment.operated, by=by, at=at)
        if plan.revision is None:
            snapshot = deployment.main.snapshot
            what = words.deployed(number, snapshot.reference)
            detail = {"digest": deployment.digest, "model": snapshot.digest}
            begun = rules.begin(
                changed.record, number, Cause.DEPLOY, by=by, at=at, what=what,
                accepted=consent.kept(plan, accept), questions=plan.questions, detail=detail,
            )  # fmt: skip
            return changed.then(begun)
        if changed.record.live == plan.revision:
            again = changed.then(rules.stay(changed.record, by=by, at=at))
            waiting = self._waiting(again.record)
            return again.then(rules.retry(again.record, waiting, by=by, at=at))
        return changed

    def _waiting(self, record: ServiceRecord) -> int:
        """Return how many replicas of the live revision would be started by asking again."""
        if not self._target.retries or record.live is None:
            return 0
        replicas = self._target.observe(record.name).of(record.live)
        return sum(replica.phase in _WAITING for replica in replicas)

    def _require_kept(self, record: ServiceRecord, revision: Revision) -> None:
        """Raise `rollback.gone` if a revision's files are no longer kept."""
        missing = self.missing(record, revision)
        if missing is None:
            return
        reference = revision.deployment.main.snapshot.reference
        raise ConflictError(
            "rollback.gone",
            f"Revision {revision.number} of {record.name} cannot be brought back: {missing.what}",
            where=missing.where or record.name,
            hint=f"Deploy its model again (`cloche deploy {reference}`); `rollout.keep` in"
            f" cloche.yaml says how many revisions are kept, now {record.operated.kept}.",
        )

    def _require_room(self, record: ServiceRecord, revision: Revision) -> None:
        """Raise what a deploy would, if pods that do not run yet would find no place."""
        deployment = revision.deployment
        if deployment.pod is None or self._target.observe(record.name).of(revision.number):
            return
        asked, pod = deployment.repository, deployment.pod
        desired = Desired(record.name, operated=record.operated, asked=asked, asked_pod=pod)
        self._target.admit(desired)
        self._target.require_room(desired)

    def _require_verified(self, record: ServiceRecord, number: int) -> None:
        """Raise `rollback.unverified` if a revision never passed its golden request."""
        attached = self._state.attached(record.name, number).verification
        outcomes: list[Verification | None] = [attached]
        outcomes += [rollout.verification for rollout in record.rollouts if rollout.to == number]
        if not any(outcome is not None and outcome.passed for outcome in outcomes):
            what = f"Revision {number} of {record.name} never passed its golden request."
            hint = "Roll back without --no-verify: the request is then sent before it gets traffic."
            raise UsageError("rollback.unverified", what, where=record.name, hint=hint)
