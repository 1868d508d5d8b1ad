"""Whether the nodes of a cluster can mount an image as a volume.

Nodes have no label that says so, and a pod template never changes: a node that joins later cannot
be kept out. So a whole image is the default, and nodes are looked at where a target asks for more.
https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Origin, WeightsFrom
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.errors import ClocheError
from cloche.targets.kubernetes import fitting
from cloche.targets.kubernetes.requirements import version_of
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.clients.kubernetes.cluster import Cluster

_KUBELET = (1, 35)
"""On by default from here on; whether an older one has it switched on is not to be seen."""
_RUNTIMES = {"containerd": (2, 1), "cri-o": (1, 33)}
"""The first version of each that mounts a folder of an image."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether weights come as a volume, and why."""

    volume: bool
    origin: Origin
    why: str


def chosen(cluster: Cluster, asked: WeightsFrom, where: Mapping[str, Any]) -> Choice | None:
    """Return where the weights of pods come from; None for the default.

    `where` has `nodeSelector` and `tolerations` of the pods. Raises ClocheError
    `target.kubernetes.weights` where a volume is asked for and a node cannot mount it.
    """
    if asked is WeightsFrom.IMAGE:
        return None
    is_asked = asked is WeightsFrom.VOLUME
    nodes = eligible(cluster, where)
    if not nodes:
        may = "There is no node for its pods yet" if nodes is not None else "You may not list nodes"
        if is_asked:
            why = f"The target asks for it. {may}, so whether nodes can mount it is not known."
            return Choice(True, Origin.SPEC, why)
        return Choice(False, Origin.DEFAULT, f"{may}, so whether they can mount it is not known.")
    lacking = [f"{name}: {what}" for name, what in nodes.items() if what]
    if is_asked and lacking:
        raise ClocheError(
            "target.kubernetes.weights",
            f"Not every node can mount an image as a volume. {'; '.join(lacking)}.",
            where=f"context {cluster.context}",
            hint="Write weights: image, or keep its pods off these nodes (`node_selector`).",
        )
    if lacking:
        return Choice(False, Origin.MEASURED, f"Not every node can mount it. {'; '.join(lacking)}.")
    counted = count_text(len(nodes), "node")
    why = f"Each of {counted} can mount it: Kubernetes and its runtime are new enough."
    return Choice(True, Origin.SPEC if is_asked else Origin.MEASURED, why)


def require_some(cluster: Cluster, template: Mapping[str, Any]) -> None:
    """Raise ClocheError `target.kubernetes.weights` if no node can mount the volume of a template.

    A revision that was made for a volume comes back with it.
    """
    nodes = eligible(cluster, template["spec"])
    if nodes and all(nodes.values()):
        raise ClocheError(
            "target.kubernetes.weights",
            "its models come as an image volume, and no node can mount one any more.",
            where=f"context {cluster.context}",
            hint="Deploy its model again with weights: image.",
        )


def eligible(cluster: Cluster, where: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the nodes on which pods may run, each with what it lacks, empty for nothing.

    None where nodes may not be listed.
    """
    try:
        found = cluster.list(kinds.NODE).items
    except ForbiddenError:
        return None
    server = _lacks("API server", cluster.version(), _KUBELET)
    return {
        str(node["metadata"]["name"]): server or _missing(node["status"]["nodeInfo"])
        for node in found
        if fitting.takes(where, node)
    }


def _missing(info: Mapping[str, str]) -> str:
    """Return what a node lacks; empty for nothing."""
    name, _, version = info["containerRuntimeVersion"].partition("://")
    if name not in _RUNTIMES:
        return f"{name} is not known to mount images"
    kubelet = _lacks("kubelet", info["kubeletVersion"], _KUBELET)
    return kubelet or _lacks(name, version, _RUNTIMES[name])


def _lacks(what: str, version: str, least: tuple[int, int]) -> str:
    found = version_of(version)
    if found is not None and found >= least:
        return ""
    return f"{what} {version} is older than {least[0]}.{least[1]}"
