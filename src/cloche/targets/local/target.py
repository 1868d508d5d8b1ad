"""The local target: services as processes of this machine, behind one gateway.

Its calls record what should run and return; the threads of the host start it and keep it running
(`host`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche import environments
from cloche.artifacts import Finding, Runtime, Severity
from cloche.errors import ClocheError, UnavailableError, UsageError
from cloche.refusals import needs_gpu
from cloche.targets.local import confinement, logs, replica_images, runtimes, sequences
from cloche.targets.local.differences import difference
from cloche.targets.local.host import LocalHost
from cloche.targets.target import (
    ApplyError,
    Endpoint,
    ReplicaAddress,
    ServiceObservation,
    TargetChange,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.artifacts import ModelRepository, ObjectChange, Operated, ReplicaRange
    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.targets.desired import Desired, Placement
    from cloche.targets.local.lifecycle import Policy
    from cloche.targets.target import Gateway, Replica


class LocalTarget:
    """The services of one home; implements `cloche.targets.Target` and `cloche.targets.Host`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        server: Server,
        *,
        policy: Policy | None = None,
    ) -> None:
        self._layout = settings.layout
        self._port = settings.gateway_port
        self._store = store
        self._server = server
        self._host = LocalHost(settings, store, server, policy=policy)
        self.start = self._host.start
        self.close = self._host.close
        self.down = self._host.down
        self.replicas = self._host.replicas
        self.subscribe = self._host.subscribe

    # ── desired ───────────────────────────────────────────────────────────────────────────────

    @property
    def autoscales(self) -> bool:
        return False

    @property
    def retries(self) -> bool:
        return True

    def admit(self, desired: Desired) -> None:
        _require_served(desired.operated.replica_range)
        for placement in desired.placements:
            _require_served(placement.replicas)
            self._require_kept(placement)
            self._require_gpu(placement.repository, placement.runtime)
        if desired.asked is not None:
            self._require_gpu(desired.asked, desired.runtime)
            confinement.require(desired.sandbox, container=self._in_containers(desired.runtime))

    def _in_containers(self, runtime: Runtime | None) -> bool:
        return runtimes.chosen(runtime, self._server).runtime is Runtime.CONTAINER

    def _require_gpu(self, repository: ModelRepository, runtime: Runtime | None) -> None:
        """Raise ClocheError for models that ask for a GPU if their replicas would have none."""
        models = repository.gpu_models
        if models and not self._server.has_gpu():
            raise needs_gpu("target.local.gpu", models)
        if models and self._in_containers(runtime):
            raise ClocheError(
                "target.local.container_gpu",
                f"Containers get no GPU, and these models need one: {', '.join(models)}.",
                where=repository.service,
                hint="Leave `runtime` out, on a machine where Triton's wheel runs.",
            )

    def apply(self, desired: Desired) -> None:
        self._host.require_keeping()
        errors: dict[int | None, ClocheError] = {}
        for placement in desired.placements:
            try:
                self._host.place(placement)
            except ClocheError as error:
                errors[placement.revision] = error
        # Routes first: a revision loses its traffic before its replicas.
        try:
            self._host.local_gateway.route(desired.service, desired.split)
        except ClocheError as error:
            errors[None] = error
        for revision in self._leaving(desired):
            if None in errors and revision in self._host.local_gateway.wanted_split(
                desired.service
            ):
                continue  # its old route stays, so its replicas stay
            try:
                self._host.remove(desired.service, revision)
            except ClocheError as error:
                errors[revision] = error
        refusal = self._host.local_gateway.refusal(desired.service)
        if desired.split and refusal is not None:
            errors.setdefault(None, refusal)
        if errors:
            raise ApplyError(desired.service, errors)

    def require_room(self, desired: Desired) -> None:
        """Raise nothing: what this machine has shows when replicas start."""

    def foresee(self, desired: Desired) -> tuple[Finding, ...]:
        service, repository = desired.service, desired.asked
        if repository is None:
            return ()
        running = [runner.placement.replicas.minimum for runner in self._host.known(service)]
        now, wanted = max(running, default=0), desired.operated.replica_range.minimum
        return (
            *_not_scaled(desired.operated),
            *self._addresses_taken(service, repository),
            *sequences.foreseen(service, repository.main, wanted, now),
            *confinement.findings(desired.sandbox, container=self._in_containers(desired.runtime)),
        )

    def _addresses_taken(self, service: str, repository: ModelRepository) -> tuple[Finding, ...]:
        owners = {name: self._host.local_gateway.owner(name) for name in repository.models}
        taken = {name: owner for name, owner in owners.items() if owner not in {None, service}}
        if not taken:
            return ()
        whose = ", ".join(f"{name} leads to {owner}" for name, owner in sorted(taken.items()))
        return (
            Finding(
                Severity.WARNING,
                "address.taken",
                f"Another service had a model of this name first and keeps its address: {whose}.",
                where=service,
                hint=f"{service} answers at {self._by_host(service)}, or with the header or"
                f" metadata `cloche-service: {service}`.",
            ),
        )

    def diff(self, desired: Desired) -> tuple[TargetChange, ...]:
        runners = self._host.runners(desired.service)
        running = {runner.placement.revision: runner for runner in runners}
        changes = [
            TargetChange(placement.revision, what)
            for placement in desired.placements
            if (what := difference(running.get(placement.revision), placement))
        ]
        changes += [TargetChange(number, "stop") for number in self._leaving(desired)]
        if self._host.local_gateway.wanted_split(desired.service) != dict(desired.split):
            shares = ", ".join(f"r{number} {share} %" for number, share in desired.split.items())
            changes.append(TargetChange(None, f"route {shares or 'nothing'}"))
        return tuple(changes)

    def compare(self, desired: Desired) -> tuple[ObjectChange, ...]:  # noqa: ARG002
        return ()

    def _leaving(self, desired: Desired) -> list[int]:
        placed = {placement.revision for placement in desired.placements}
        return [
            runner.placement.revision
            for runner in self._host.runners(desired.service)
            if runner.placement.revision not in placed and not runner.removed
        ]

    def _require_kept(self, placement: Placement) -> None:
        """Raise ClocheError if the files or the environment of a revision are gone."""
        if not self._store.whole(placement.repository.digest):
            raise ClocheError(
                "target.local.files",
                "its files are no longer kept.",
                where=f"{placement.service} revision {placement.revision}",
                hint="Deploy its model again.",
            )
        if self._in_containers(placement.runtime):
            digest = placement.repository.digest
            replica_images.existing(self._layout.containers, placement.service, digest)
        if placement.lock is not None:
            environments.existing(placement.lock, self._layout.environments)

    # ── observed ──────────────────────────────────────────────────────────────────────────────

    def observe(self, service: str) -> ServiceObservation:
        replicas: list[Replica] = []
        for runner in self._host.runners(service):
            replicas += runner.replicas()
        split = self._host.local_gateway.seen_split(service)
        traffic = self._host.local_gateway.traffic.of(service)
        return ServiceObservation(
            service, self._endpoint(service), split, tuple(replicas), traffic=traffic
        )

    def gateway(self) -> Gateway:
        return self._host.gateway()

    @contextmanager
    def reach(
        self, service: str, revision: int, replica: str | None = None
    ) -> Iterator[ReplicaAddress]:
        for each in self._ready(service, revision, replica):
            with self._host.holds.held(each.id):
                # Check again: it may have ended before it was held.
                if each in self._ready(service, revision, replica):
                    yield ReplicaAddress(str(each.url), each.grpc)
                    return
        what = f"No replica of revision {revision} of {service} is ready."
        hint = f"`cloche status {service}` shows its replicas."
        raise UnavailableError("target.unreachable", what, where=replica or service, hint=hint)

    def _ready(self, service: str, revision: int, replica: str | None) -> list[Replica]:
        return [
            each for each in self.observe(service).ready(revision) if replica in {None, each.id}
        ]

    def doubt(self, service: str, revision: int, address: ReplicaAddress, why: str) -> None:
        for runner in self._host.runners(service):
            if runner.placement.revision == revision:
                runner.doubt(address.http, why)

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        if follow:
            yield from logs.follow(lambda: self._logs_of(service, revision), lines=lines)
            return
        for name, log in self._logs_of(service, revision).items():
            yield from ((name, line) for line in logs.shown_tail(log, lines))

    def _logs_of(self, service: str, revision: int | None) -> dict[str, Path]:
        """Return the logs of a revision; None is the placed revisions, else the newest one."""
        if revision is not None:
            return logs.of_revision(self._layout.logs, service, revision)
        return logs.of_service(self._layout.logs, service, self._placed(service))

    def _placed(self, service: str) -> set[int]:
        return {runner.placement.revision for runner in self._host.runners(service)}

    def _endpoint(self, service: str) -> Endpoint:
        """Return the address of a service: by host if its model's name leads to another one."""
        gateway = self.gateway()
        http, models = gateway.http, self._models(service)
        if models and self._host.local_gateway.owner(models[0]) not in {None, service}:
            http = self._by_host(service)
        log = f"{self._layout.log('gateway').relative_to(self._layout.root)} in CLOCHE_HOME"
        return Endpoint(http, gateway.grpc, gateway.ready, gateway.detail, log)

    def _by_host(self, service: str) -> str:
        return f"http://{service}.localhost:{self._port}"

    def _models(self, service: str) -> tuple[str, ...]:
        """Return the models of the revision with the most traffic, else of the newest one."""
        split = self._host.local_gateway.wanted_split(service)
        runners = sorted(
            self._host.runners(service),
            key=lambda runner: (
                split.get(runner.placement.revision, 0),
                runner.placement.revision,
            ),
        )
        return runners[-1].placement.repository.models if runners else ()


def _require_served(replicas: ReplicaRange) -> None:
    """Raise UsageError `target.local.replicas` for none: nothing here holds requests for them."""
    if replicas.minimum < 1:
        raise UsageError(
            "target.local.replicas",
            "This machine runs 1 replica or more: nothing holds requests while none runs.",
            where="replicas",
            hint="Write a number, such as replicas: 1.",
        )


def _not_scaled(operated: Operated) -> Iterator[Finding]:
    replicas = operated.replica_range
    if not replicas.fixed:
        what = f"This machine does not scale by itself: it runs {replicas.minimum}, the least."
        yield Finding(Severity.NOTE, "target.local.not_scaled", what, where="replicas")
