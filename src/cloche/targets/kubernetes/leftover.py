"""Pods of a Deployment that is gone: they are ready until the cluster has got round to ending them.

One that was made again under its name has pods of its own, or takes those over (`--cascade=orphan`)
and then counts them among its ready ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.pods import is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def of(pods: Iterable[dict[str, Any]], workloads: Mapping[int, dict[str, Any]]) -> set[str]:
    """Return the names of ready pods that end soon; `workloads` are the Deployments by revision."""
    ready: dict[int, list[dict[str, Any]]] = {}
    for pod in pods:
        number = names.revision_of(pod["metadata"].get("labels") or {})
        if number is not None and is_ready(pod):
            ready.setdefault(number, []).append(pod)
    return {
        str(pod["metadata"]["name"])
        for number, each in ready.items()
        for pod in _left(each, workloads.get(number))
    }


def _left(ready: list[dict[str, Any]], workload: dict[str, Any] | None) -> list[dict[str, Any]]:
    if workload is None:
        return ready
    made = workload["metadata"]["creationTimestamp"]
    older = [pod for pod in ready if pod["metadata"]["creationTimestamp"] < made]
    counted = int((workload.get("status") or {}).get("readyReplicas", 0))
    return older[max(0, counted - (len(ready) - len(older))) :]
