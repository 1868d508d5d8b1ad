"""The PodDisruptionBudget of a revision: a drained node takes one of its pods at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import metadata

if TYPE_CHECKING:
    from cloche.targets.desired import Placement

LEAST = 2
"""Replicas from which on there is a budget: with one it would hold up every drain."""


def of(placement: Placement, namespace: str) -> dict[str, Any]:
    """Return the budget; pods that are not ready never hold up a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata.of_revision(placement, namespace),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector(placement.service, placement.revision)},
        },
    }
