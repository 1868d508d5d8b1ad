"""The queries of an engine: views of what is recorded and observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Attached, RevisionStatus
from cloche.control import views
from cloche.errors import ClocheError
from cloche.refusals import unknown_revision
from cloche.rollout.keeping import bytes_of, kept_revisions

if TYPE_CHECKING:
    from cloche.artifacts import Revision, ServiceRecord
    from cloche.control.commands import Commands
    from cloche.control.reconcile import Reconciler
    from cloche.control.records import Records
    from cloche.targets import Target


class Queries:
    """Status and history."""

    def __init__(
        self,
        records: Records,
        target: Target,
        reconciler: Reconciler,
        commands: Commands,
        keep_limit: int | None,
    ) -> None:
        self._records = records
        self._state = records.state
        self._target = target
        self._reconciler = reconciler
        self._commands = commands
        self._keep_limit = keep_limit

    def status(self) -> dict[str, Any]:
        """Return the current `{gateway, services, kept, problems}`."""
        found, problems = [], []
        for name in sorted({*self._state.services(), *self._state.lost()}):
            try:
                view = self._view_or_none(name)
            except ClocheError as error:
                if error.retriable:
                    raise
                problems.append(error.to_dict())
                continue
            lost = self._records.lost(name) if view is None else None
            if view is not None:
                found.append(view)
            elif lost is not None:  # else it was deleted meanwhile
                problems.append(lost.to_dict())
        return {
            "gateway": views.gateway_view(self._target.gateway()),
            "services": found,
            "kept": self._kept_bytes(),
            "problems": problems,
        }

    def service(self, name: str) -> dict[str, Any]:
        """Return the status of one service; raises `service.unknown` and `state.lost`."""
        view = self._view_or_none(name)
        if view is None:
            raise self._records.absent(name)
        return view

    def revisions(self, name: str) -> tuple[RevisionStatus, ...]:
        """Return all revisions of a service, oldest first."""
        record = self._records.stored(name).record
        return tuple(self._status_of(record, revision) for revision in self._state.revisions(name))

    def revision(self, name: str, number: int) -> RevisionStatus:
        """Return one revision of a service."""
        record = self._records.stored(name).record
        return self._status_of(record, self.recorded(name, number))

    def recorded(self, name: str, number: int) -> Revision:
        """Return the stored revision; raises `revision.unknown`."""
        revision = self._state.revision(name, number)
        if revision is None:
            raise unknown_revision(name, number)
        return revision

    def history(self, name: str) -> dict[str, Any]:
        """Return the rollouts, newest first, and the revisions that can be brought back."""
        record = self._records.stored(name).record
        restorable = [
            revision.number
            for revision in self._state.revisions(name)
            if self._commands.missing(record, revision) is None
        ]
        return {
            "service": name,
            "rollouts": [views.rollout_view(rollout) for rollout in reversed(record.rollouts)],
            "restorable": restorable,
            "keep": record.operated.kept,
        }

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _view_or_none(self, name: str) -> dict[str, Any] | None:
        stored = self._state.service(name)
        if stored is None:
            return None
        record, latest = stored.record, stored.record.latest
        number = record.shown
        shown = self._state.revision(name, number)
        if shown is None:  # deleted since its record was read
            return None
        trouble = None
        for candidate in (latest.to if latest is not None else number, number):
            trouble = trouble or self._reconciler.trouble(name, candidate)
        attached = self._state.attached(name, number)
        return views.service_view(record, shown, attached, self._target.observe(name), trouble)

    def _status_of(self, record: ServiceRecord, revision: Revision) -> RevisionStatus:
        attached: Attached = self._state.attached(record.name, revision.number)
        return views.revision_status(record, revision, attached)

    def _kept_bytes(self) -> dict[str, Any] | None:
        """Return the bytes of the kept revisions, and the cache limit that they count towards."""
        if self._keep_limit is None:
            return None
        revisions = []
        for name in self._state.services():
            stored = self._state.service(name)
            numbers = kept_revisions(stored.record) if stored is not None else ()
            revisions += [self._state.revision(name, number) for number in numbers]
        size = bytes_of(revision.deployment for revision in revisions if revision is not None)
        return {"bytes": size, "limit": self._keep_limit}
