"""The Kubernetes target: services as pods behind a Service, or behind a Gateway of the cluster.

The cluster keeps everything: this object only reads it and writes differences. What runs goes on
without Cloche.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError, StaleError
from cloche.state.hold import AlwaysHeld
from cloche.targets.kubernetes import (
    admission,
    adoption,
    comparing,
    differences,
    image_volumes,
    names,
    observing,
    reaching,
    reading,
    room,
    seen,
    wanted,
)
from cloche.targets.kubernetes.at_once import at_once
from cloche.targets.kubernetes.objects import golden, metadata, pod, weights
from cloche.targets.kubernetes.writing import Writer, replicas_of
from cloche.targets.target import ApplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cloche.artifacts import Adopted, Finding, ObjectChange
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state import Hold
    from cloche.targets.desired import Desired, Placement
    from cloche.targets.target import Gateway, ReplicaAddress, ServiceObservation, TargetChange

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
    ) -> None:
        """`has_image` says whether the registry has an image of `HOST/NAME@sha256:…`."""
        self._cluster = cluster
        self._namespace = namespace
        self._probe_files = probe_files
        self._has_image = has_image
        self._writer = Writer(cluster, hold or AlwaysHeld())

    def take_over(self) -> None:
        """Set fields that others own, too, from now on."""
        self._writer.takes_over = True

    # ── desired ───────────────────────────────────────────────────────────────────────────────

    @property
    def autoscales(self) -> bool:
        return True

    @property
    def retries(self) -> bool:
        return False

    def admit(self, desired: Desired) -> None:
        admission.check(self._cluster, self._namespace, desired)
        for placement in desired.placements:
            if placement.pod is not None:
                self._require_images(placement.image, placement.pod)
            if placement.adopted is not None:
                adoption.require_same(self._cluster, self._namespace, placement.adopted)

    def _require_images(self, image: str | None, template: dict[str, Any]) -> None:
        """Raise ClocheError if pods of a template cannot be started any more."""
        for each in sorted(pod.images_of(image, template)):
            if not self._has_image(each):
                raise ClocheError(
                    "target.kubernetes.image",
                    "its image is no longer in the registry.",
                    where=each,
                    hint="Deploy its model again.",
                )
        if weights.is_volume(template):
            image_volumes.require_some(self._cluster, template)

    def require_room(self, desired: Desired) -> None:
        """Raise ConflictError if a quota has no room for a new revision, or the nodes no GPUs.

        Its pods are those of `desired.asked_pod`.
        """
        if desired.asked_pod is not None:
            found = seen.read(self._cluster, self._namespace, desired.service)
            room.require(self._cluster, self._namespace, desired, desired.asked_pod, found)

    def foresee(self, desired: Desired) -> tuple[Finding, ...]:
        return differences.foreseen(self._cluster, self._namespace, desired)

    def apply(self, desired: Desired) -> None:
        found = reading.placed(self._cluster, self._namespace, desired)
        errors: dict[int | None, ClocheError] = {}
        written = ""
        try:
            self._apply_service(desired, found)
        except ClocheError as error:
            raise ApplyError(desired.service, {None: error}) from error
        for placement in desired.placements:
            try:
                written = self._place(placement, desired, found) or written
            except StaleError:
                pass  # it changed meanwhile: the next apply reads it anew
            except ClocheError as error:
                errors[placement.revision] = error
        try:
            if not errors:
                self._route(desired, found)
            self._remove_leaving(desired, found, written)
        except StaleError:
            pass  # as above
        except ClocheError as error:
            errors[None] = error
        if errors:
            raise ApplyError(desired.service, errors)

    def diff(self, desired: Desired) -> tuple[TargetChange, ...]:
        return comparing.summary(self.compare(desired))

    def compare(self, desired: Desired) -> tuple[ObjectChange, ...]:
        return comparing.compare(self._cluster, self._namespace, desired)

    # ── observed ──────────────────────────────────────────────────────────────────────────────

    def observe(self, service: str) -> ServiceObservation:
        return observing.observe(self._cluster, self._namespace, service)

    def gateway(self) -> Gateway | None:
        return None

    def reach(
        self, service: str, revision: int, replica: str | None = None
    ) -> AbstractContextManager[ReplicaAddress]:
        return reaching.reach(self._cluster, self._namespace, service, revision, replica)

    def doubt(self, service: str, revision: int, address: ReplicaAddress, why: str) -> None:
        """Do nothing: no answer is judged here."""

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
        """Bring the objects of the whole service to what they should be."""
        objects = wanted.of_service(desired, self._namespace, self._cluster.serves)
        at_once(self._applying(objects, found))

    def _applying(
        self, objects: Iterable[wanted.Object], found: seen.Seen
    ) -> Iterator[Callable[[], object]]:
        """Yield what brings objects to what they should be, none of which needs another."""
        for kind, body in objects:
            current = found.get(kind, body["metadata"]["name"])
            yield partial(self._writer.apply, kind, body, current)

    def _place(self, placement: Placement, desired: Desired, found: seen.Seen) -> str:
        """Bring the objects of a revision to what they should be.

        Return the version of its Deployment if that was written since it was read, else "".
        """
        if placement.adopted is not None:
            self._place_adopted(placement, placement.adopted, desired, found)
            return ""
        name = names.of_revision(placement.service, placement.revision)
        kind, body = wanted.workload(placement, self._namespace)
        current = found.get(kind, name)
        workload = self._writer.apply(kind, body, current)
        for other, part in wanted.surplus(placement, desired, found):
            self._writer.remove(placement.service, other, part)
        if placement.restarted_at is not None:
            self._writer.restart(placement.service, workload, placement.restarted_at)
        with_it = wanted.of_revision(
            placement, desired, found, workload,
            namespace=self._namespace, serves=self._cluster.serves,
        )  # fmt: skip
        works: list[Callable[[], object]] = [
            partial(self._add_probe, placement, workload, is_new=current is None),
            partial(self._scale, placement, desired, found, workload),
            *self._applying(with_it, found),
        ]
        at_once(works)
        return _written(workload, current)

    def _place_adopted(
        self, placement: Placement, adopted: Adopted, desired: Desired, found: seen.Seen
    ) -> None:
        """Mark a Deployment that was made by hand as a revision."""
        adoption.require_same(self._cluster, self._namespace, adopted)
        kind, body = wanted.workload(placement, self._namespace)
        workload = self._writer.apply(kind, body, found.get(kind, adopted.deployment))
        self._scale(placement, desired, found, workload)

    def _scale(
        self, placement: Placement, desired: Desired, found: seen.Seen, workload: dict[str, Any]
    ) -> None:
        """Set the replicas of a revision where nobody else does; an adopted one gets some."""
        replicas = wanted.replicas(placement, desired, found)
        if replicas is None:
            return
        if placement.adopted is not None:
            is_ours = not replicas_of(workload)
        else:
            is_ours = found.scaler(workload["metadata"]["name"]) is not None
        is_ours = is_ours or placement.exact
        self._writer.scale(kinds.DEPLOYMENT, workload, replicas, is_ours=is_ours)

    def _add_probe(self, placement: Placement, workload: dict[str, Any], *, is_new: bool) -> None:
        """Make the ConfigMap that the pods of a new revision wait for, if it is missing."""
        is_up = bool(workload.get("status", {}).get("readyReplicas"))
        if is_up or not wanted.is_asked(workload["spec"]["template"]):
            return
        name = workload["metadata"]["name"]
        if not is_new and self._cluster.get(kinds.CONFIG_MAP, name, self._namespace) is not None:
            return
        content = self._probe_files(placement.service, placement.revision)
        body = golden.of(placement, self._namespace, content)
        with suppress(StaleError):  # it is there
            self._cluster.create(kinds.CONFIG_MAP, metadata.owned_by(body, workload))

    def _route(self, desired: Desired, found: seen.Seen) -> None:
        """Have the traffic go where it should; with no share left there is no address."""
        for kind, body in wanted.of_traffic(desired, self._namespace, self._cluster.serves):
            current = found.get(kind, body["metadata"]["name"])
            if current is None and desired.operated.front is not None:
                current = adoption.service(self._cluster, self._namespace, desired.operated.front)
            self._writer.move(desired.service, kind, body, current)
            if kind is kinds.HTTP_ROUTE and current is not None:
                _require_accepted(current)
        for kind, each in wanted.unrouted(desired, found):
            self._writer.remove(desired.service, kind, each)

    def _remove_leaving(self, desired: Desired, found: seen.Seen, written: str) -> None:
        """Remove revisions without a placement, and with the last one the service's own objects.

        `written` is the version of a Deployment that this apply has written, if it has.
        """
        if reading.stays(desired):
            found = reading.workloads(self._cluster, self._namespace, desired.service, written)
        for kind, each in wanted.leaving(desired, found):
            self._writer.remove(desired.service, kind, each)


def _written(body: dict[str, Any], before: dict[str, Any] | None) -> str:
    """Return the version of an object that was written since it was read; "" if it was not."""
    version = str(body["metadata"]["resourceVersion"])
    is_same = before is not None and before["metadata"]["resourceVersion"] == version
    return "" if is_same else version


def _require_accepted(routed: dict[str, Any]) -> None:
    """Raise ClocheError for a route, as it was before, that its Gateway will never serve."""
    refusal = observing.refusal_of(routed)
    if refusal is not None:
        gateway = routed["spec"]["parentRefs"][0]
        raise ClocheError(
            "target.kubernetes.route_refused",
            refusal,
            where=f"Gateway {gateway.get('namespace')}/{gateway['name']}",
            hint="Correct `gateway` and `host` of the target, or what the Gateway's listeners allow"
            " (allowedRoutes, hostname).",
        )
