"""The nodes of a cluster, as pods with a GPU would find them: which run their image, what is free.

`read` asks the cluster, all else is pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Gpu
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.nvidia import Judgement, Verdict, judge
from cloche.targets.kubernetes import fitting
from cloche.targets.kubernetes.fitting import labels_of
from cloche.targets.kubernetes.gpus import labels
from cloche.targets.kubernetes.objects import gpus
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloche.artifacts import ModelRepository
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.nvidia import Software
    from cloche.targets.kubernetes.gpus.labels import GpuLabels, Sharing

_RESOURCES = "nvidia.com/"
_LIVING = "status.phase!=Succeeded,status.phase!=Failed"
_FEW = 32
"""Nodes whose pods are listed node by node: in a large cluster most pods are elsewhere."""
_GROWING = (
    "karpenter.sh/nodepool", "cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
)  # fmt: skip
"""Labels of nodes that are made when they are needed: more kinds may come than are there."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """What a user sees of a cluster; None for what may not be listed."""

    nodes: Sequence[dict[str, Any]] | None
    pods: Sequence[dict[str, Any]] | None = None
    """Those that are bound to a node and have not ended."""

    @property
    def grow(self) -> bool:
        """Return whether nodes may be made when pods ask for them."""
        return any(each in labels_of(node) for node in self.nodes or () for each in _GROWING)


@dataclass(frozen=True, slots=True)
class GpuNode:
    """A node that hands out the GPUs that are asked for."""

    name: str
    says: GpuLabels
    capacity: int
    """How many pods may have, taken or not."""
    taken: int | None
    """None where the pods of others may not be listed."""
    memory: int | None
    """Bytes on each."""
    sharing: Sharing | None
    judgement: Judgement
    barred: str | None = None
    """Why pods of this template never come there, whatever its GPUs."""
    resting: str | None = None
    """Why no pod comes there for now."""

    @property
    def free(self) -> int | None:
        """Return how many are free now."""
        if self.resting is not None:
            return 0
        return None if self.taken is None else max(0, self.capacity - self.taken)

    @property
    def title(self) -> str:
        """Return the name with its product: `gpu-1 (Tesla-T4)`."""
        return f"{self.name} ({self.says.product})" if self.says.product else self.name


@dataclass(frozen=True, slots=True)
class Survey:
    """The nodes with GPUs, for the pods of one template."""

    gpu: Gpu
    software: Software
    nodes: tuple[GpuNode, ...]
    """Those that hand out the resource."""
    resources: Mapping[str, int]
    """How many nodes hand out each resource of NVIDIA's device plugin."""
    grow: bool
    """Whether further nodes may come."""

    @property
    def open(self) -> tuple[GpuNode, ...]:
        """Return the nodes that pods may come to, whether or not they run the image."""
        return tuple(node for node in self.nodes if node.barred is None)

    def of(self, *verdicts: Verdict) -> tuple[GpuNode, ...]:
        """Return the nodes that pods may come to with one of some verdicts."""
        return tuple(node for node in self.open if node.judgement.verdict in verdicts)

    @property
    def usable(self) -> tuple[GpuNode, ...]:
        """Return the nodes that pods may come to and that may run the image."""
        return tuple(n for n in self.open if n.judgement.verdict is not Verdict.REFUSED)

    @property
    def free(self) -> int | None:
        """Return for how many pods there are GPUs now; None where it is not known."""
        free = [node.free for node in self.usable]
        if None in free:
            return None
        return sum((each or 0) // self.gpu.count for each in free)


def read(cluster: Cluster, *, pods: bool = False) -> Nodes:
    """Return the nodes, and with `pods` what runs on those with GPUs, as far as it may be seen."""
    try:
        nodes = cluster.list(kinds.NODE).items
    except ForbiddenError:
        return Nodes(None)
    try:
        return Nodes(nodes, _bound(cluster, nodes) if pods else None)
    except ForbiddenError:
        return Nodes(nodes)


def _bound(cluster: Cluster, nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pods that are bound to nodes with GPUs."""
    names = [each["metadata"]["name"] for each in nodes if _resources([each])]
    if len(names) > _FEW:
        return list(cluster.list(kinds.POD, fields=f"spec.nodeName!=,{_LIVING}").items)
    return [
        pod
        for name in names
        for pod in cluster.list(kinds.POD, fields=f"spec.nodeName={name},{_LIVING}").items
    ]


def totals(seen: Nodes) -> dict[str, tuple[int | None, int]]:
    """Return how many of each resource of GPUs are free, and how many there are."""
    found: dict[str, tuple[int | None, int]] = {}
    for resource in _resources(seen.nodes or ()):
        total = sum(fitting.capacity(node, resource) for node in seen.nodes or ())
        taken = None if seen.pods is None else sum(fitting.taken(seen.pods, resource).values())
        found[resource] = (None if taken is None else max(0, total - taken), total)
    return found


def asked(template: Mapping[str, Any]) -> Gpu | None:
    """Return the GPUs that the pods of a template ask for."""
    for container in template["spec"].get("containers") or ():
        limits = (container.get("resources") or {}).get("limits") or {}
        for resource, count in limits.items():
            if resource.startswith(_RESOURCES):
                return Gpu(int(count), resource)
    return None


def survey(
    seen: Nodes, template: Mapping[str, Any], repository: ModelRepository | None
) -> Survey | None:
    """Return the nodes for the pods of a template, which serve a repository.

    None where it asks for no GPU, or no node is seen.
    """
    gpu = asked(template)
    if gpu is None or seen.nodes is None:
        return None
    taken = None if seen.pods is None else fitting.taken(seen.pods, gpu.resource)
    wanted = _Wanted(
        template["spec"], gpu, gpus.software_of(template), _memory_needed(repository), taken
    )
    found = [wanted.node(each) for each in seen.nodes if fitting.capacity(each, gpu.resource)]
    ordered = tuple(sorted(found, key=lambda node: node.name))
    return Survey(gpu, wanted.software, ordered, _resources(seen.nodes), seen.grow)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What pods want of a node."""

    pod: Mapping[str, Any]
    gpu: Gpu
    software: Software
    memory: int | None
    """Bytes on a GPU at least."""
    taken: Mapping[str, int] | None
    """GPUs that are taken, by node."""

    def node(self, node: Mapping[str, Any]) -> GpuNode:
        """Return a node as these pods find it."""
        name, has, resource = str(node["metadata"]["name"]), labels_of(node), self.gpu.resource
        says = labels.parse(has)
        found = GpuNode(
            name=name,
            says=says,
            capacity=fitting.capacity(node, resource),
            taken=None if self.taken is None else self.taken.get(name, 0),
            memory=labels.memory(has, resource),
            sharing=labels.sharing(has, resource),
            judgement=judge(
                self.software, says.driver, says.capability, data_centre=says.data_centre
            ),
            barred=_barred(self.pod, node),
            resting=fitting.resting(self.pod, node),
        )
        short = self._too_small(found)
        if short is None or found.judgement.verdict is Verdict.REFUSED:
            return found
        return replace(found, judgement=Judgement(Verdict.REFUSED, short))

    def _too_small(self, node: GpuNode) -> str | None:
        """Return why the GPUs of a node are too few or too small; None if they are not."""
        count = self.gpu.count
        if count > 1 and node.sharing not in {None, labels.Sharing.NONE}:
            return f"its GPUs are shared ({node.sharing}), and two shares are no more than one"
        if node.capacity < count:
            return f"it has {node.capacity} of the {count} that a pod asks for"
        if self.memory is not None and node.memory is not None and node.memory < self.memory:
            has, wants = size_text(node.memory), size_text(self.memory)
            return f"its memory is {has}, and the model's files alone are {wants}"
        return None


def _barred(pod: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    if not fitting.chosen(pod, node):
        return "it lacks a label of `node_selector`"
    return fitting.untolerated(pod, node)


def _memory_needed(repository: ModelRepository | None) -> int | None:
    """Return the bytes that a model takes on a GPU at least; None where it decides by itself."""
    if repository is None or any(member.backend == "python" for member in repository.members):
        return None
    return sum(file.size for file in repository.files)


def _resources(nodes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in nodes:
        for resource in node.get("status", {}).get("allocatable") or {}:
            if resource.startswith(_RESOURCES) and fitting.capacity(node, resource):
                found[resource] = found.get(resource, 0) + 1
    return dict(sorted(found.items()))
