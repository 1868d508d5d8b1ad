"""The page with every object of a service in a cluster, made by what makes them there."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from cloche.artifacts import (
    Autoscale,
    ContainerStart,
    Expose,
    Exposure,
    Gpu,
    Operated,
    PodOptions,
    ReplicaRange,
    Resources,
    Revision,
    Served,
)
from cloche.artifacts.container import SHARED_MEMORY
from cloche.clients.kubernetes import kinds
from cloche.nvidia import Cuda, Software
from cloche.rollout.decide import placement
from cloche.targets.kubernetes import names, rights
from cloche.targets.kubernetes.objects import (
    account,
    autoscaler,
    disruption,
    horizontal,
    measures,
    monitor,
    network,
    pod,
    route,
    service,
    traffic,
)
from cloche.targets.kubernetes.objects import deployment as workload
from cloche.testing import deployment

if TYPE_CHECKING:
    from cloche.clients.kubernetes.kinds import Kind

NAME, NAMESPACE = "scores", "vision"
IMAGE = f"registry.example.com/vision/{NAME}@sha256:{'0' * 64}"
EXPOSURE = Exposure(Expose.GATEWAY, "infra/public", "scores.example.com", "monitoring")
FOLLOWED = Autoscale(requests_per_second=100.0, queue_time=0.005)
INTRODUCTION = """\
What `cloche deploy --target NAME` makes of one service, here `scores` with two replicas behind a
Gateway, in the namespace `vision`. All are applied by server-side apply with the field manager
`cloche`; `cloche plan --why` gives the reason of each value in a pod. Names that are too long, that
begin with a digit or that look like the name of a revision get another stem, which begins with a
hash. The state of the service is in ConfigMaps, ControllerRevisions and a Lease beside them
([guide](../guides/cpu-cluster.md#where-the-state-is))."""


class _Everything:
    """A cluster that serves every kind."""

    def serves(self, _: Kind) -> bool:
        return True


def page(note: str) -> str:
    """Return the page."""
    parts = ["# Objects in a cluster", note, "", INTRODUCTION]
    for title, body in _objects().items():
        parts += ["", f"## {title}", "", WHY[title], "", "```yaml", _yaml(body), "```"]
    return "\n".join(parts) + "\n"


WHY = {
    "Deployment of a revision": """\
Its template never changes. `spec.replicas` is not applied, only scaled, so that an autoscaler may
set it. It owns the Service, the budget and the ConfigMap of its revision, which has the script of
the startup probe and the right answer.""",
    "What a GPU adds to the pods": """\
With `resources: {gpu: 1}`, on an image with CUDA 13.3. Nodes whose labels say nothing are tried
([guide](../guides/gpu-cluster.md)).""",
    "Service of a revision": "A route leads to it.",
    "PodDisruptionBudget of a revision": f"""\
From {disruption.LEAST} replicas on: a drained node takes one pod at a time.""",
    "Service": """\
For clients in the cluster. Without a Gateway its selector moves whole from one revision to the
next.""",
    "HTTPRoute": """\
With `expose: gateway`: HTTP and gRPC on one hostname; what changes a server is not routed.""",
    "BackendTrafficPolicy": """\
One for each protocol, where the Gateway is one of Envoy Gateway: without them a request ends after
15 s, and that of a pod that is killed is lost.""",
    "ServiceAccount": "It has no rights.",
    "NetworkPolicy": """\
Requests come from the cluster, metrics are read from the namespace of `prometheus`, and pods reach
nothing but DNS.""",
    "PodMonitor": """\
Where the cluster has the kind, for the Prometheus operator. Pods of a service that is autoscaled
are read every five seconds.""",
    "ScaledObject of a revision": """\
With `autoscale`, here `{requests_per_second: 100, queue_time: 5ms}` for 2 to 20 replicas
([guide](../guides/autoscaling.md)).""",
    "HorizontalPodAutoscaler of a revision": """\
With `autoscaler: prometheus-adapter`, in place of the ScaledObject.""",
    "Role of who deploys": """\
The rights that a deploy needs; those for HTTPRoute, BackendTrafficPolicy, PodMonitor and
ScaledObject only where they are used; with prometheus-adapter the last is
`horizontalpodautoscalers` of `autoscaling`. Bind it to the user of the context.""",
    "ClusterRole to see GPUs": """\
What a service with GPUs is better off with: which nodes run its image, and which GPUs are free
([guide](../guides/gpu-cluster.md)). Without it nothing is refused, and less is known.""",
}


def _objects() -> dict[str, dict[str, Any]]:
    """Return an example of each object, by the titles of WHY."""
    made = replace(deployment(NAME), image=IMAGE)
    start = ContainerStart(b"", {SHARED_MEMORY: str(17 * 2**20)}, (8000, 8001, 8002))
    made = replace(made, pod=pod.render(made, start, "amd64", PodOptions()).pod)
    one = placement(
        Revision(NAME, 1, made.digest, made, ""), Operated(replicas=ReplicaRange.exactly(2))
    )
    routed = route.of(NAME, NAMESPACE, [NAME], {1: 100}, EXPOSURE)
    needed = rights.needed(_Everything(), EXPOSURE)  # type: ignore[arg-type]
    return {
        "Deployment of a revision": workload.of(one, NAMESPACE),
        "What a GPU adds to the pods": _with_gpu(start),
        "Service of a revision": service.of_revision(one, NAMESPACE),
        "PodDisruptionBudget of a revision": disruption.of(one, NAMESPACE),
        "Service": service.of_service(NAME, NAMESPACE, 1, EXPOSURE),
        "HTTPRoute": routed,
        "BackendTrafficPolicy": traffic.of(NAME, NAMESPACE, "http", routed),
        "ServiceAccount": account.of(NAME, NAMESPACE),
        "NetworkPolicy": network.of(NAME, NAMESPACE, EXPOSURE),
        "PodMonitor": monitor.of(NAME, NAMESPACE, 5.0),
        "ScaledObject of a revision": autoscaler.of(
            one,
            NAMESPACE,
            ReplicaRange(2, 20),
            "http://prometheus.monitoring.svc:9090",
            measures.of(one, NAMESPACE, FOLLOWED, 5.0),
        ),
        "HorizontalPodAutoscaler of a revision": horizontal.of(
            one, NAMESPACE, ReplicaRange(2, 20), measures.of(one, NAMESPACE, FOLLOWED, 5.0)
        ),
        "Role of who deploys": rights.role(
            [*needed, *rights.kept(kinds.SCALED_OBJECT)], NAMESPACE, "cloche"
        ),
        "ClusterRole to see GPUs": rights.cluster_role(rights.SEEING, "cloche-gpus"),
    }


def _with_gpu(start: ContainerStart) -> dict[str, Any]:
    """Return the parts of a pod that are there because of its GPU."""
    made = replace(deployment(NAME), image=IMAGE, served=Served(resources=Resources(gpu=Gpu())))
    software = Software(Cuda(13, 3), "26.07")
    template = pod.render(made, start, "amd64", PodOptions(), software=software).pod
    spec, (container,) = template["spec"], template["spec"]["containers"]
    own = [each for each in container["env"] if each["name"].startswith("NVIDIA")]
    limits = {"limits": container["resources"]["limits"]}
    return {
        "metadata": {
            "labels": {names.GPU: template["metadata"]["labels"][names.GPU]},
            "annotations": template["metadata"]["annotations"],
        },
        "spec": {
            "containers": [{"name": container["name"], "env": own, "resources": limits}],
            "tolerations": spec["tolerations"],
            "affinity": {
                "nodeAffinity": spec["affinity"]["nodeAffinity"],
                "podAntiAffinity": _last(spec["affinity"]["podAntiAffinity"]),
            },
        },
    }


def _last(preferred: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {key: terms[-1:] for key, terms in preferred.items()}


def _yaml(body: dict[str, Any]) -> str:
    out = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 200
    writer.dump(body, out)
    return out.getvalue().rstrip("\n")
