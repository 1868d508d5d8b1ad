"""What the control plane can be asked to do: record what is wanted, and say what is.

Nothing here waits for a rollout: what is recorded is brought about by the reconcile loop, which is
woken, and seen in the events.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cloche.artifacts import Deployment, Golden, Revision, Verification, digest_of_files
from cloche.control.views import gateway_view, service_view
from cloche.errors import ClocheError, UnavailableError, UsageError
from cloche.refusals import being_deleted, unknown_revision, unknown_service
from cloche.rollout.phases import replicas_of
from cloche.targets.target import ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloche.control.actuator import Verifier
    from cloche.control.reconcile import Reconciler
    from cloche.state.state import ServiceRecord, State
    from cloche.targets.target import Observation, Replica, Target

# A DNS label (RFC 1123), since a service is also reached by host.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MOST_REPLICAS = 1000


class Control:
    """The control plane behind its API."""

    def __init__(
        self,
        state: State,
        target: Target,
        verifier: Verifier,
        reconciler: Reconciler,
        changed: Callable[[], None],
    ) -> None:
        self.state = state
        self._target = target
        self._verifier = verifier
        self._reconciler = reconciler
        self._changed = changed
        self._lock = threading.Lock()
        """Held from looking what there is to recording what is asked for."""
        self.ending = False
        """Whether `down` was asked for."""

    # ── what is ───────────────────────────────────────────────────────────────────────────────

    def status(self) -> dict[str, Any]:
        """Return the gateway and all services, as they are now."""
        observation = self._target.observe()
        shown = self._shown()
        return {
            "gateway": gateway_view(observation.gateway),
            "services": [self._view(name, shown, observation) for name in shown],
        }

    def service(self, name: str) -> dict[str, Any]:
        """Return the status of one service."""
        shown = self._shown()
        if name not in shown:
            raise unknown_service(name)
        return self._view(name, shown, self._target.observe())

    def revisions(self, name: str) -> tuple[Revision, ...]:
        """Return all revisions of a service, oldest first."""
        self._known(name)
        return self.state.revisions(name)

    def revision(self, name: str, number: int) -> Revision:
        """Return one revision of a service."""
        self._known(name)
        revision = self.state.revision(name, number)
        if revision is None:
            raise unknown_revision(name, number)
        return revision

    def logs(
        self, name: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        """Return the logs of a service's replicas; see `Target.logs`."""
        self._known(name)
        return self._target.logs(name, revision, lines=lines, follow=follow)

    # ── what is asked ─────────────────────────────────────────────────────────────────────────

    def deploy(self, deployment: Deployment) -> tuple[str, int]:
        """Record a deployment; returns what it changes (none, scaled, revision) and its revision.

        What is live or on its way already is no new revision, unless all its replicas have failed:
        then deploying again is how it is started again.
        """
        _check(deployment)
        name, digest = deployment.service, deployment.digest
        with self._lock:
            self._refuse_when_ending()
            record = self.state.service(name)
            if record is not None:  # what the spec does not say stays as it is
                operated = {**record.operated, **deployment.operated}
                deployment = replace(deployment, operated=operated)
            number = self._same(record, digest) if record is not None else None
            if record is None or number is None:
                return self._done("revision", self.state.deploy(deployment, digest).number)
            change = "none"
            if number != record.wanted:
                # What was live before is asked for again: a rollout under way ends.
                ended = self.revision(name, record.wanted).phase.ended
                change = "none" if ended else "revision"
                self.state.want(name, number, by=deployment.by)
            if record.operated != deployment.operated:
                self.state.operate(name, deployment.operated, by=deployment.by)
                change = "scaled" if change == "none" else change
        return self._done(change, number)

    def scale(self, name: str, replicas: int, by: str) -> dict[str, Any]:
        """Change the number of replicas."""
        _check_replicas(replicas)
        with self._lock:
            self._refuse_when_ending()
            record = self._known(name)
            if record.deleting:
                raise being_deleted(name)
            if replicas_of(record.operated) != replicas:
                self.state.operate(name, {**record.operated, "replicas": replicas}, by=by)
        self._done("scaled", record.wanted)
        return self.service(name)

    def delete(self, name: str, by: str) -> None:
        """Begin to remove a service; it is gone when `service` does not know it any more."""
        with self._lock:
            self._refuse_when_ending()
            self._known(name)
            self.state.mark_deleting(name, by=by)
        self._done("deleting", 0)

    def verify(self, name: str, url: str | None, number: int | None) -> Verification:
        """Send a revision's golden request to one of its replicas, or to another server.

        The outcome is kept with the revision when a replica of it was asked. `number` is that of
        the live revision, or the wanted one, where it is None.
        """
        record = self._known(name)
        revision = self.revision(name, number or record.live or record.wanted)
        asked = _checked_url(url) if url is not None else self._replica_of(revision).url
        golden = revision.golden or self._make_golden(revision)
        outcome = self._verifier.verify(revision, golden, asked or "")
        if url is None:
            self.state.attach(name, revision.number, verification=outcome)
            self._changed()
        return outcome

    def down(self) -> None:
        """Stop all replicas and the gateway; what is declared stays, for the next start."""
        with self._lock:
            self.ending = True
        self._reconciler.stop()
        self._target.down()

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _same(self, record: ServiceRecord, digest: str) -> int | None:
        """Return the revision with this digest that is live, or on its way to be."""
        if record.deleting:
            return None
        wanted = self.revision(record.name, record.wanted)
        if not wanted.phase.ended and wanted.digest == digest:
            return wanted.number
        live = self.revision(record.name, record.live) if record.live is not None else None
        if live is not None and live.digest == digest and not self._is_broken(live):
            return live.number
        return None

    def _refuse_when_ending(self) -> None:
        if self.ending:
            what = "The control plane is ending, as `cloche down` asked."
            raise UnavailableError("control.ending", what, hint="Try again in a moment.")

    def _is_broken(self, revision: Revision) -> bool:
        mine = self._replicas(revision)
        return bool(mine) and all(replica.phase is ReplicaPhase.FAILED for replica in mine)

    def _replica_of(self, revision: Revision) -> Replica:
        for replica in self._replicas(revision):
            if replica.phase is ReplicaPhase.READY and replica.url is not None:
                return replica
        raise ClocheError(
            "verify.not_running",
            f"No replica of revision {revision.number} of {revision.service} is ready.",
            where=revision.service,
            hint=f"`cloche status {revision.service}` shows its replicas; --url asks another"
            " server with the same repository.",
        )

    def _make_golden(self, revision: Revision) -> Golden:
        golden = self._verifier.golden(revision)
        self.state.attach(revision.service, revision.number, golden=golden)
        return golden

    def _replicas(self, revision: Revision) -> list[Replica]:
        return [
            replica
            for replica in self._target.observe().replicas
            if (replica.service, replica.revision) == (revision.service, revision.number)
        ]

    def _shown(self) -> dict[str, tuple[ServiceRecord, Revision]]:
        """Return each service with its live revision, or the wanted one before any is live."""
        found = {}
        for record in self.state.services():
            revision = self.state.revision(record.name, record.live or record.wanted)
            if revision is not None:  # else it was deleted between two looks
                found[record.name] = record, revision
        return found

    def _view(
        self,
        name: str,
        services: dict[str, tuple[ServiceRecord, Revision]],
        observation: Observation,
    ) -> dict[str, Any]:
        record, shown = services[name]
        wanted = shown
        if record.wanted != shown.number:
            wanted = self.state.revision(name, record.wanted) or shown
        trouble = self._reconciler.trouble(name, wanted.number)
        trouble = trouble or self._reconciler.trouble(name, shown.number)
        model = shown.deployment.repository.models[0]
        alone = model == name or not any(
            model in other.deployment.repository.models
            for record_of_other, other in services.values()
            if record_of_other.name != name
        )
        return service_view(record, shown, wanted, observation, trouble, alone=alone)

    def _known(self, name: str) -> ServiceRecord:
        record = self.state.service(name)
        if record is None:
            raise unknown_service(name)
        return record

    def _done(self, change: str, number: int) -> tuple[str, int]:
        self._reconciler.wake()
        self._changed()
        return change, number


def _check(deployment: Deployment) -> None:
    """Refuse a deployment that no command of ours would make, before anything is recorded."""
    name, repository = deployment.service, deployment.repository
    if _NAME.fullmatch(name) is None:
        hint = "Use lower-case letters, digits and '-', at most 63, with no '-' at the ends."
        raise UsageError("service.name", f"{name!r} is no name for a service.", hint=hint)
    if repository.service != name:
        what = f"The repository is that of {repository.service!r}, not of {name!r}."
        raise UsageError("deployment.invalid", what, where=name)
    for files, digest in (
        (deployment.snapshot.files, deployment.snapshot.digest),
        (repository.files, repository.digest),
    ):
        if digest_of_files(files) != digest:
            raise UsageError("deployment.invalid", f"{digest} is not the digest of its files.")
    _check_replicas(deployment.operated.get("replicas", 1))


def _check_replicas(replicas: object) -> None:
    whole = isinstance(replicas, int) and not isinstance(replicas, bool)
    if not whole or not 1 <= int(str(replicas)) <= _MOST_REPLICAS:
        hint = "`cloche delete` removes a service." if replicas == 0 else None
        what = f"{replicas!r} is no number of replicas: it is a whole number from 1 to 1000."
        raise UsageError("service.replicas", what, hint=hint)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
    except ValueError:
        usable = False
    if not usable:
        hint = "Give the base URL of the server, such as http://127.0.0.1:8000."
        raise UsageError("verify.url", "This is no URL of a Triton server.", hint=hint)
    return url.rstrip("/")
