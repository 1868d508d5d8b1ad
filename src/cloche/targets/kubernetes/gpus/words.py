"""Nodes in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.nvidia import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.targets.kubernetes.gpus.survey import GpuNode

_MOST = 8
"""Nodes that are named; of more their number is said."""


def titles(nodes: Sequence[GpuNode]) -> str:
    """Return nodes by name and product."""
    return listed(nodes, lambda node: node.title, ", ")


def free(nodes: Sequence[GpuNode]) -> str:
    """Return how many GPUs of each node are free: `1 of 4 on gpu-1`."""
    return listed(nodes, lambda node: f"{node.free} of {node.capacity} on {node.name}", ", ")


def reasons(nodes: Sequence[GpuNode]) -> str:
    """Return nodes, each with why it runs an image or does not."""
    return listed(nodes, lambda node: f"{node.title}: {reason(node)}")


def reason(node: GpuNode) -> str:
    """Return why a node runs an image, or does not."""
    if node.says.odd and node.judgement.verdict is Verdict.UNKNOWN:
        return f"{node.says.odd[0]} has not the form that NVIDIA gives it"
    return node.judgement.why


def listed(nodes: Sequence[GpuNode], say: Callable[[GpuNode], str], between: str = "; ") -> str:
    """Return what is said of nodes, of some if they are many."""
    more = [f"and {len(nodes) - _MOST} more"] if len(nodes) > _MOST else []
    return between.join([*map(say, nodes[:_MOST]), *more])
