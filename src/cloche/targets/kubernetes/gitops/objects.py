"""The objects of a service that Cloche does not keep: one Deployment that is rolled by Kubernetes.

They are those of `cloche deploy`, without what only makes sense with it: no revision's number, no
record, no owner, no weights. The name of the ConfigMap with the golden request follows from its
content, so that pods of two versions each have their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import digest_of, encode
from cloche.clients.kubernetes import kinds
from cloche.targets.desired import Desired
from cloche.targets.kubernetes import names, wanted
from cloche.targets.kubernetes.objects import deployment as workloads
from cloche.targets.kubernetes.objects import golden, probes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from cloche.clients.kubernetes.kinds import Kind
    from cloche.targets.desired import Placement

    Object = dict[str, Any]

_SHARE = {names.UNNUMBERED: 100}
_BY_ADMINISTRATOR = {
    "envoy-gateway": kinds.BACKEND_TRAFFIC_POLICY,
    "prometheus-operator": kinds.POD_MONITOR,
}
ADDONS = tuple(_BY_ADMINISTRATOR)
"""What a cluster may have beyond Kubernetes, with kinds of its own."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is exported: a service as it is deployed."""

    placement: Placement
    desired: Desired
    probe: Mapping[str, bytes]
    """The files with which its pods are asked before they are ready."""

    @property
    def is_scaled(self) -> bool:
        """Return whether an autoscaler sets the number of replicas."""
        return self.desired.operated.autoscaled is not None


def service(placement: Placement, desired: Desired, probe: Mapping[str, bytes]) -> Service:
    """Return a service whose placement is of no revision."""
    plain = replace(placement, revision=names.UNNUMBERED)
    return Service(plain, replace(desired, placements=(plain,), split=_SHARE), probe)


def of(exported: Service, namespace: str, addons: Collection[str]) -> list[Object]:
    """Return the objects, in the order in which they are made."""
    return [_plain(body) for body in _objects(exported, namespace, addons)]


def _objects(exported: Service, namespace: str, addons: Collection[str]) -> Iterator[Object]:
    placed, desired = exported.placement, exported.desired

    def serves(kind: Kind) -> bool:
        optional = _BY_ADMINISTRATOR.values()
        return kind not in optional or any(_BY_ADMINISTRATOR[each] is kind for each in addons)

    yield from (body for _, body in wanted.of_service(desired, namespace, serves))
    body = _workload(exported, namespace)
    if exported.probe:
        config = golden.of(placed, namespace, exported.probe)
        config["metadata"]["name"] = _probe_name(exported)
        yield config
    yield body
    beside = wanted.of_revision(
        placed, desired, wanted.NOTHING, None, namespace=namespace, serves=serves
    )
    yield from (each for kind, each in beside if kind is not kinds.SERVICE)
    for kind, each in wanted.of_traffic(desired, namespace, serves):
        yield _without_weights(each) if kind is kinds.HTTP_ROUTE else each


def _workload(exported: Service, namespace: str) -> Object:
    """Return the Deployment; Kubernetes keeps its former versions for `kubectl rollout undo`."""
    body = workloads.of(exported.placement, namespace)
    spec: dict[str, Any] = body["spec"]
    spec.pop("revisionHistoryLimit")
    if not exported.is_scaled:
        body["spec"] = {"replicas": exported.placement.replicas.minimum, **spec}
    for volume in spec["template"]["spec"].get("volumes") or ():
        if volume["name"] == probes.VOLUME:
            volume["configMap"]["name"] = _probe_name(exported)
    return body


def _probe_name(exported: Service) -> str:
    content = {name: digest_of(data) for name, data in sorted(exported.probe.items())}
    mark = digest_of(encode(content)).removeprefix("sha256:")[:8]
    return f"{names.of_service(exported.placement.service)}-golden-{mark}"


def _without_weights(route: Object) -> Object:
    for rule in route["spec"]["rules"]:
        rule["backendRefs"] = [
            {key: value for key, value in backend.items() if key != "weight"}
            for backend in rule["backendRefs"]
        ]
    return route


def _plain(value: Any) -> Any:
    """Return an object without the label that Cloche keeps it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != names.MANAGED_BY}
    return [_plain(item) for item in value] if isinstance(value, list) else value
