"""What is said of GPUs before pods are made: refusals, and what a user should know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Finding, Severity
from cloche.nvidia import Verdict
from cloche.refusals import needs_gpu
from cloche.targets.kubernetes.gpus import refusals, words
from cloche.targets.kubernetes.gpus import survey as surveys
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cloche.artifacts import ModelRepository
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.errors import ClocheError
    from cloche.targets.kubernetes.gpus.survey import GpuNode, Nodes, Survey

_WORDS = {
    Verdict.NATIVE: "can run {}",
    Verdict.FORWARD_COMPATIBLE: "can run {} through cuda-compat",
    Verdict.UNKNOWN: "may run {}",
    Verdict.REFUSED: "cannot run {}",
}


def problems(
    cluster: Cluster, template: Mapping[str, Any], repository: ModelRepository | None
) -> Iterator[ClocheError]:
    """Yield why no node takes the pods of a template.

    Nothing is asked where they want no more of a node than any pod does.
    """
    if repository is not None and repository.gpu_models and surveys.asked(template) is None:
        remedy = "Write resources: {gpu: 1}."
        yield needs_gpu("target.kubernetes.gpu", repository.gpu_models, remedy)
    if not _asks(template):
        return
    seen = surveys.read(cluster)
    yield from problems_of(seen, template, repository)


def problems_of(
    seen: Nodes, template: Mapping[str, Any], repository: ModelRepository | None
) -> Iterator[ClocheError]:
    """Yield why no node of those that are seen takes the pods of a template."""
    selector = list(refusals.of_selector(seen, template))
    found = surveys.survey(seen, template, repository)
    if selector or found is None:
        yield from selector
        return
    yield from refusals.of_gpus(found)


def findings(
    cluster: Cluster, template: Mapping[str, Any], repository: ModelRepository | None
) -> Iterator[Finding]:
    """Yield what a user should know of the GPUs of a cluster."""
    if surveys.asked(template) is None:
        return
    seen = surveys.read(cluster, pods=True)
    found = surveys.survey(seen, template, repository)
    if found is None:
        yield unseen()
    else:
        yield from verdicts(found)
        yield from _free_unknown(found)


def unseen() -> Finding:
    """Return what is to be said where nodes may not be listed."""
    return Finding(
        Severity.NOTE, "target.kubernetes.gpus_unknown",
        "You may not list nodes: which of them run the image, and which GPUs are free, is not"
        " known.", where="resources.gpu",
        hint="Ask an administrator for a ClusterRole to get and list nodes and pods.",
    )  # fmt: skip


def each_node(found: Survey) -> Iterator[Finding]:
    """Yield one finding for each node, with its verdict, its source and what is free."""
    for node in found.nodes:
        why = node.barred or words.reason(node)
        free = "" if node.free is None else f" {node.free} of {node.capacity} free."
        rest = f" For now {node.resting}." if node.resting else ""
        verdict = "out of reach" if node.barred else str(node.judgement.verdict)
        fine = node.barred is None and node.judgement.verdict is not Verdict.REFUSED
        yield Finding(
            Severity.NOTE if fine else Severity.WARNING,
            f"target.kubernetes.gpu_{_code(node.judgement.verdict)}",
            f"{node.title}: {verdict}: {why}.{rest}{free}",
            where=node.judgement.source,
        )


def verdicts(found: Survey) -> Iterator[Finding]:
    """Yield one finding for each verdict that some nodes have."""
    for verdict, say in _WORDS.items():
        nodes = found.of(verdict)
        if not nodes:
            continue
        listed = words.titles(nodes) if verdict is Verdict.NATIVE else words.reasons(nodes)
        yield Finding(
            Severity.NOTE, f"target.kubernetes.gpu_{_code(verdict)}",
            f"{_count(nodes)} {say.format(found.software)}: {listed}.",
            where=found.gpu.resource,
        )  # fmt: skip


def free(found: Survey, replicas: int) -> Iterator[Finding]:
    """Yield that fewer GPUs are free than so many pods ask for, or that it is not known."""
    yield from _free_unknown(found)
    if found.free is not None and found.usable and found.free < replicas:
        yield Finding(
            Severity.WARNING, "target.kubernetes.gpus_free",
            f"GPUs are free for {found.free} of {count_text(replicas, 'pod')}:"
            f" {words.free(found.usable)}.",
            where=found.gpu.resource,
            hint="Pods of a new revision come up beside those of the live one, unless"
            " rollout.capacity says otherwise. Scale something down, or add nodes.",
        )  # fmt: skip


def _free_unknown(found: Survey) -> Iterator[Finding]:
    if found.free is None:
        yield Finding(
            Severity.NOTE, "target.kubernetes.gpus_free_unknown",
            "You may not list the pods of all namespaces: how many GPUs are free is not known.",
            where=found.gpu.resource,
        )  # fmt: skip


def _asks(template: Mapping[str, Any]) -> bool:
    """Return whether pods want more of a node than its system and processor."""
    selector = template["spec"].get("nodeSelector") or {}
    return surveys.asked(template) is not None or any(map(refusals.is_chosen, selector))


def _code(verdict: Verdict) -> str:
    return verdict.value.replace("-", "_")


def _count(nodes: Sequence[GpuNode]) -> str:
    return count_text(len(nodes), "node")
