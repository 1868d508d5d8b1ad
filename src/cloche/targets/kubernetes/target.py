"""The Kubernetes target: services as pods behind a Service, or behind a Gateway of the cluster.

The cluster keeps everything: this object only reads it and writes differences. What runs goes on
without Cloche.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose, Exposure
from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError, StaleError
from cloche.state.hold import AlwaysHeld
from cloche.targets.kubernetes import admission, differences, names, observing, reaching, seen
from cloche.targets.kubernetes.objects import (
    account,
    deployment,
    disruption,
    golden,
    metadata,
    monitor,
    network,
    probes,
    route,
    service,
    traffic,
)
from cloche.targets.kubernetes.writing import Writer, replicas_of
from cloche.targets.target import ApplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cloche.artifacts import Finding
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state import Hold
    from cloche.targets.target import (
        Desired,
        Gateway,
        Placement,
        ReplicaAddress,
        ServiceObservation,
        TargetChange,
    )

    ProbeFiles = Callable[[str, int], Mapping[str, bytes]]
    """Returns what a revision's pods are asked with before they are ready."""


class KubernetesTarget:
    """The services of one namespace; implements `cloche.targets.Target`."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        probe_files: ProbeFiles,
        *,
        hold: Hold | None = None,
        has_image: Callable[[str], bool] = lambda _: True,
        take_over: bool = False,
    ) -> None:
        """`has_image` says whether the registry has an image of `HOST/NAME@sha256:…`."""
        self._cluster = cluster
        self._namespace = namespace
        self._probe_files = probe_files
        self._has_image = has_image
        self._writer = Writer(cluster, hold or AlwaysHeld(), take_over=take_over)

    # ── desired ───────────────────────────────────────────────────────────────────────────────

    def admit(self, desired: Desired) -> None:
        admission.check(self._cluster, self._namespace, desired)
        for placement in desired.placements:
            if placement.image is not None and not self._has_image(placement.image):
                raise ClocheError(
                    "target.kubernetes.image",
                    "its image is no longer in the registry.",
                    where=placement.image,
                    hint="Deploy its model again.",
                )

    def foresee(self, desired: Desired) -> tuple[Finding, ...]:
        return differences.foreseen(self._cluster, self._namespace, desired)

    def apply(self, desired: Desired) -> None:
        found = seen.read(self._cluster, self._namespace, desired.service)
        errors: dict[int | None, ClocheError] = {}
        try:
            self._apply_service(desired, found)
        except ClocheError as error:
            raise ApplyError(desired.service, {None: error}) from error
        for placement in desired.placements:
            try:
                self._place(placement, desired, found)
            except ClocheError as error:
                errors[placement.revision] = error
        try:
            if not errors:
                self._route(desired, found)
            self._remove_leaving(desired, found)
        except StaleError:
            pass  # it changed meanwhile: the next apply reads it anew
        except ClocheError as error:
            errors[None] = error
        if errors:
            raise ApplyError(desired.service, errors)

    def diff(self, desired: Desired) -> tuple[TargetChange, ...]:
        return differences.changes(self._cluster, self._namespace, desired)

    # ── observed ──────────────────────────────────────────────────────────────────────────────

    def observe(self, service: str) -> ServiceObservation:
        return observing.observe(self._cluster, self._namespace, service)

    def gateway(self) -> Gateway | None:
        return None

    def reach(
        self, service: str, revision: int, replica: str | None = None
    ) -> AbstractContextManager[ReplicaAddress]:
        return reaching.reach(self._cluster, self._namespace, service, revision, replica)

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        return reaching.logs(
            self._cluster, self._namespace, service, revision, lines=lines, follow=follow
        )

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Tell nothing: an engine looks again by itself while a rollout is under way."""

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _apply_service(self, desired: Desired, found: seen.Seen) -> None:
        """Bring the objects of the whole service to what they should be, or remove them."""
        name, of_service = desired.service, names.of_service(desired.service)
        if not desired.placements and not desired.split:
            return
        exposure = desired.operated.exposure or Exposure()
        uses_own = any(
            (placement.pod or {})["spec"]["serviceAccountName"] == of_service
            for placement in desired.placements
        )
        wanted = [(kinds.NETWORK_POLICY, network.of(name, self._namespace, exposure))]
        if uses_own:
            wanted.append((kinds.SERVICE_ACCOUNT, account.of(name, self._namespace)))
        if self._cluster.serves(kinds.POD_MONITOR):
            wanted.append((kinds.POD_MONITOR, monitor.of(name, self._namespace)))
        for kind, body in wanted:
            self._writer.apply(kind, body, found.get(kind, of_service))

    def _place(self, placement: Placement, desired: Desired, found: seen.Seen) -> None:
        """Bring the objects of a revision to what they should be."""
        namespace, number = self._namespace, placement.revision
        name = names.of_revision(placement.service, number)
        current = found.get(kinds.DEPLOYMENT, name)
        workload = self._writer.apply(
            kinds.DEPLOYMENT, deployment.of(placement, namespace), current
        )
        if current is None:
            self._add_probe(placement, workload)
        replicas = self._replicas(placement, desired, found)
        self._writer.scale(kinds.DEPLOYMENT, workload, replicas)
        owned = metadata.owned_by(service.of_revision(placement, namespace), workload)
        self._writer.apply(kinds.SERVICE, owned, found.get(kinds.SERVICE, name))
        budget = found.get(kinds.POD_DISRUPTION_BUDGET, name)
        if replicas >= disruption.LEAST:
            body = metadata.owned_by(disruption.of(placement, namespace), workload)
            self._writer.apply(kinds.POD_DISRUPTION_BUDGET, body, budget)
        elif budget is not None:
            self._writer.remove(placement.service, kinds.POD_DISRUPTION_BUDGET, budget)

    def _add_probe(self, placement: Placement, workload: dict[str, Any]) -> None:
        """Make the ConfigMap that the pods of a new revision wait for."""
        volumes = workload["spec"]["template"]["spec"].get("volumes") or ()
        if not any(volume["name"] == probes.VOLUME for volume in volumes):
            return
        content = self._probe_files(placement.service, placement.revision)
        body = golden.of(placement, self._namespace, content)
        self._cluster.apply(kinds.CONFIG_MAP, metadata.owned_by(body, workload))

    def _replicas(self, placement: Placement, desired: Desired, found: seen.Seen) -> int:
        """Return how many replicas a revision gets: at least as many as the live one has now."""
        wanted = placement.replicas.minimum
        if desired.split.get(placement.revision):
            return wanted
        answering = [
            found.get(kinds.DEPLOYMENT, names.of_revision(desired.service, number))
            for number in desired.split
        ]
        now = [replicas_of(each) for each in answering if each is not None]
        return max([wanted, *now])

    def _route(self, desired: Desired, found: seen.Seen) -> None:
        """Have the traffic go where it should; with no share left there is no address."""
        name, of_service = desired.service, names.of_service(desired.service)
        exposure = desired.operated.exposure or Exposure()
        routed = found.get(kinds.HTTP_ROUTE, of_service)
        main = found.get(kinds.SERVICE, of_service)
        if desired.split:
            body = service.of_service(name, self._namespace, _most(desired.split), exposure)
            self._writer.move(name, kinds.SERVICE, body, main)
        elif main is not None:
            self._writer.remove(name, kinds.SERVICE, main)
        if desired.split and exposure.expose is Expose.GATEWAY:
            body = route.of(name, self._namespace, _models(desired), desired.split, exposure)
            self._apply_policies(name, body, found)
            self._writer.move(name, kinds.HTTP_ROUTE, body, routed)
            _require_accepted(routed, exposure)
        elif routed is not None:
            self._writer.remove(name, kinds.HTTP_ROUTE, routed)
            for policy in found.objects.get(kinds.BACKEND_TRAFFIC_POLICY, {}).values():
                self._writer.remove(name, kinds.BACKEND_TRAFFIC_POLICY, policy)

    def _apply_policies(self, name: str, routed: dict[str, Any], found: seen.Seen) -> None:
        """Tell a Gateway of Envoy how to send requests, before the route leads to it."""
        if not self._cluster.serves(kinds.BACKEND_TRAFFIC_POLICY):
            return
        for protocol in traffic.PROTOCOLS:
            body = traffic.of(name, self._namespace, protocol, routed)
            current = found.get(kinds.BACKEND_TRAFFIC_POLICY, body["metadata"]["name"])
            self._writer.apply(kinds.BACKEND_TRAFFIC_POLICY, body, current)

    def _remove_leaving(self, desired: Desired, found: seen.Seen) -> None:
        """Remove revisions without a placement, and with the last one the service's own objects."""
        placed = {placement.revision for placement in desired.placements}
        for number, workload in found.of_revision(kinds.DEPLOYMENT).items():
            if number not in placed:
                self._writer.remove(desired.service, kinds.DEPLOYMENT, workload)
        if placed or desired.split:
            return
        for kind, each in found.all():
            if kind is not kinds.DEPLOYMENT:
                self._writer.remove(desired.service, kind, each)


def _require_accepted(routed: dict[str, Any] | None, exposure: Exposure) -> None:
    """Raise ClocheError for a route, as it was before, that its Gateway will never serve."""
    refusal = observing.refusal_of(routed) if routed is not None else None
    if refusal is not None:
        raise ClocheError(
            "target.kubernetes.route_refused",
            refusal,
            where=f"Gateway {exposure.gateway}",
            hint="Correct `gateway` and `host` of the target, or what the Gateway's listeners allow"
            " (allowedRoutes, hostname).",
        )


def _most(split: Mapping[int, int]) -> int:
    """Return the revision with the greatest share: a Service leads to one."""
    return max(split, key=lambda number: (split[number], number))


def _models(desired: Desired) -> tuple[str, ...]:
    """Return the names of the models of all revisions that have a share."""
    names_of = (
        model
        for placement in desired.placements
        if desired.split.get(placement.revision)
        for model in placement.repository.models
    )
    return tuple(dict.fromkeys(names_of))
