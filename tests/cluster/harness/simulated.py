"""Nodes that KWOK simulates, with any labels and capacity, for questions of scheduling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SIMULATED = "cloche.test/simulated"
"""The annotation by which KWOK knows its nodes; their taint has the same name."""
_USUAL = {"cpu": "8", "memory": "32Gi", "pods": "110"}


def simulated_node(
    name: str,
    labels: Mapping[str, str],
    capacity: Mapping[str, str],
    taints: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Return the object of a node; `capacity` adds to 8 cores, 32 GiB and 110 pods."""
    has = {**_USUAL, **capacity}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {SIMULATED: "true"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels},
        },
        "spec": {"taints": [{"key": SIMULATED, "effect": "NoSchedule"}, *taints]},
        "status": {"capacity": has, "allocatable": has},
    }
