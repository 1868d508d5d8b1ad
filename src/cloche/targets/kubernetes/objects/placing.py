"""Where pods run: what the target says, which nodes their image is for, and spread over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Origin, Reason
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import gpus

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, Gpu, PodOptions
    from cloche.nvidia import Software


def spread(deployment: Deployment, software: Software) -> dict[str, Any]:
    """Spread the pods of one revision softly; without the hash two new ones land on one node.

    Zones are no second constraint: the scheduler then passes over all nodes that lack its key.
    """
    gpu = deployment.served.resources.gpu
    alike = {
        "labelSelector": {"matchLabels": names.selector(deployment.service)},
        "matchLabelKeys": ["pod-template-hash"],
    }
    node = {"topologyKey": "kubernetes.io/hostname", **alike}
    zone = {"topologyKey": "topology.kubernetes.io/zone", **alike}
    apart = [{"weight": 100, "podAffinityTerm": zone}, *gpus.apart(gpu)]
    return {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **node}
        ],
        "affinity": {
            **gpus.node_affinity(gpu, software),
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": apart},
        },
    }


def where(gpu: Gpu | None, options: PodOptions, architecture: str) -> dict[str, Any]:
    """Return where pods run: what the target says, on nodes that the image is for."""
    given: dict[str, Any] = {
        "nodeSelector": {
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture,
            **options.node_selector,
        },
        "tolerations": gpus.tolerations(gpu, options.tolerations),
        "runtimeClassName": options.runtime_class,
        "priorityClassName": options.priority_class,
        "imagePullSecrets": [{"name": options.pull_secret}] if options.pull_secret else [],
    }
    return {key: value for key, value in given.items() if value}


def outline(
    gpu: Gpu | None, options: PodOptions, architecture: str, software: Software
) -> dict[str, Any]:
    """Return what the template of pods says of nodes, where the rest of it is not known yet."""
    container = {"name": "server", "resources": {"limits": gpus.limits(gpu)}}
    return {
        "metadata": {"annotations": gpus.annotations_of(gpu, software)},
        "spec": {"containers": [container], **where(gpu, options, architecture)},
    }


def reasons(
    deployment: Deployment, options: PodOptions, architecture: str, software: Software
) -> tuple[Reason, ...]:
    """Return why pods run where they do."""
    default, gpu = Origin.DEFAULT, deployment.served.resources.gpu
    given = where(gpu, options, architecture)
    if not options.tolerations:
        given.pop("tolerations", None)
    why = "Pods of a revision go to different nodes where there are some."
    return (
        Reason("pod.topologySpreadConstraints", "hostname", default, why),
        Reason("pod.affinity", "zone", default, "And to different zones, where nodes have them."),
        *(
            Reason(f"pod.{key}", str(value), Origin.SPEC, "The target asks for it.")
            for key, value in given.items()
        ),
        *gpus.reasons(gpu, software, options.tolerations),
    )
