"""What pods say of GPUs: how many they get, what their image needs, and where they may run.

Nothing here depends on the nodes of a cluster, so that the same deploy has the same template again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Origin, Reason
from cloche.artifacts.container import TF32_OVERRIDE
from cloche.artifacts.service import WHOLE_GPU
from cloche.nvidia import Capability, Cuda, Software
from cloche.nvidia.compatibility import BRANCHES
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.gpus.labels import DRIVER_LABELS, MODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cloche.artifacts import Gpu

CUDA = "cloche.dev/cuda"
"""The annotation with the version of CUDA in the image."""
TRITON = "cloche.dev/triton"
"""The annotation with the release of Triton in the image."""
_FAMILY = f"{WHOLE_GPU}.family"
_FAMILIES = {
    "kepler": Capability(3, 0), "maxwell": Capability(5, 0), "pascal": Capability(6, 0),
    "volta": Capability(7, 0), "turing": Capability(7, 5), "ampere": Capability(8, 0),
}  # fmt: skip
"""Generations of GPUs, with the least compute capability that each has."""
_VISIBLE = "NVIDIA_VISIBLE_DEVICES"
_TAINT = WHOLE_GPU
"""The key of the taint that nodes with GPUs usually have."""


_TOLD = {
    TF32_OVERRIDE: "FP32 is computed as FP32, as the golden answer was; TF32 is faster, and less"
    " exact.",
    _VISIBLE: "No GPU is asked for, and the image would take all that its node has.",
}


def limits(gpu: Gpu | None) -> dict[str, str]:
    """Return the limits of the container; a request follows from its limit."""
    return {} if gpu is None else {gpu.resource: str(gpu.count)}


def labels_of(gpu: Gpu | None) -> dict[str, str]:
    """Return the label by which pods with a GPU know each other."""
    return {} if gpu is None else {names.GPU: "true"}


def annotations_of(gpu: Gpu | None, software: Software) -> dict[str, str]:
    """Return what the image of pods with a GPU brings, for whoever asks whether a node runs it."""
    if gpu is None:
        return {}
    said = {CUDA: software.cuda and str(software.cuda), TRITON: software.triton}
    return {key: value for key, value in said.items() if value}


def software_of(template: Mapping[str, Any]) -> Software:
    """Return what the image of a template brings."""
    said = template.get("metadata", {}).get("annotations") or {}
    return Software(Cuda.parse(said.get(CUDA)), said.get(TRITON))


def environment(gpu: Gpu | None, software: Software) -> list[dict[str, str]]:
    """Return what NVIDIA's software in the container is told.

    Images with CUDA say that they want all GPUs of a node, and a runtime that believes them gives
    them all to a pod that asks for none. With one, FP32 is computed as FP32: the golden answer is
    one of processors.
    """
    if gpu is not None:
        return [{"name": TF32_OVERRIDE, "value": "0"}]
    return [] if software.cuda is None else [{"name": _VISIBLE, "value": "void"}]


def tolerations(gpu: Gpu | None, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the tolerations of the pods: the given ones, and that of nodes with GPUs."""
    tolerated = [dict(each) for each in given]
    if gpu is None or any(each.get("key") == _TAINT for each in tolerated):
        return tolerated
    return [*tolerated, {"key": _TAINT, "operator": "Exists", "effect": "NoSchedule"}]


def is_shareable(gpu: Gpu) -> bool:
    """Return whether pods of other services may be on the same GPU: a slice is one pod's own."""
    return gpu.resource.removeprefix("nvidia.com/").startswith("gpu")


def apart(gpu: Gpu | None) -> list[dict[str, Any]]:
    """Return the terms that keep pods away from others with a GPU, as far as there is room."""
    if gpu is None or not is_shareable(gpu):
        return []
    others = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": labels_of(gpu)},
        "namespaceSelector": {},
    }
    return [{"weight": 50, "podAffinityTerm": others}]


def node_affinity(gpu: Gpu | None, software: Software) -> dict[str, Any]:
    """Return the affinity that keeps pods off nodes whose driver or GPU is too old for them.

    Only what a label says keeps them off: a node without it may be right.
    """
    terms = _terms(software) if gpu is not None else []
    if not terms:
        return {}
    chosen = {"nodeSelectorTerms": [{"matchExpressions": each} for each in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": chosen}}


def _terms(software: Software) -> list[list[dict[str, Any]]]:
    """Return terms of which a node has to fulfil one."""
    least, minimum = software.capability, software.minimum
    families = [name for name, first in _FAMILIES.items() if least is not None and first < least]
    generation = [_not_in(_FAMILY, families)] if families else []
    if minimum is None:
        return [generation] if generation else []
    old = [branch for branch in BRANCHES if branch < minimum.branch]
    terms = [[*_not_of(old), *generation]]
    if software.forward:
        older = [branch for branch in old if branch not in software.forward]
        has_no_display = _not_in(MODE, ["display", "graphics"])
        terms.append([*_not_of(older), has_no_display, *generation])
    return terms


def _not_of(branches: Iterable[int]) -> list[dict[str, Any]]:
    return [_not_in(f"{family}.major", map(str, branches)) for family in DRIVER_LABELS]


def _not_in(key: str, values: Iterable[str]) -> dict[str, Any]:
    return {"key": key, "operator": "NotIn", "values": list(values)}


def reasons(
    gpu: Gpu | None, software: Software, given: Sequence[Mapping[str, Any]]
) -> tuple[Reason, ...]:
    """Return why pods have their GPUs, and run where they do."""
    told = tuple(
        Reason(f"pod.env.{each['name']}", each["value"], Origin.DEFAULT, _TOLD[each["name"]])
        for each in environment(gpu, software)
    )
    if gpu is None:
        return told
    found = [
        Reason(f"pod.resources.limits.{gpu.resource}", str(gpu.count), Origin.SPEC, "resources.gpu")
    ]
    if len(tolerations(gpu, given)) > len(given):
        why = "Nodes with GPUs usually have this taint, and are for pods that ask for one."
        found.append(Reason("pod.tolerations", _TAINT, Origin.DEFAULT, why))
    if _terms(software):
        found.append(
            Reason("pod.affinity.nodeAffinity", str(software), Origin.MODEL, _needs(software))
        )
    if apart(gpu):
        why = "Where GPUs are shared, services do not crowd one while others have room."
        found.append(Reason("pod.affinity.podAntiAffinity", names.GPU, Origin.DEFAULT, why))
    return (*told, *found)


def _needs(software: Software) -> str:
    needs = []
    if software.minimum is not None:
        forward = "".join(f", R{branch}" for branch in sorted(software.forward))
        through = f" (and{forward.removeprefix(',')} through cuda-compat on data-centre GPUs)"
        needs.append(f"driver {software.minimum}{through if forward else ''}")
    if software.capability is not None:
        needs.append(f"compute capability {software.capability}")
    return f"The image needs {' and '.join(needs)}; a node whose labels do not say it is tried."
