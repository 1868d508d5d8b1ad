"""Whether a node takes a pod: its labels, its taints, and what it hands out (GPUs).

https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes.quantities import amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_KEEPS_OUT = {"NoSchedule", "NoExecute"}
_STATES = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""How the keys of taints begin that the cluster itself gives and takes."""


def labels_of(node: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a node."""
    return dict(node["metadata"].get("labels") or {})


def chosen(pod: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Return whether a node has the labels that the spec of a pod asks for (`nodeSelector`)."""
    labels = labels_of(node)
    return all(labels.get(key) == value for key, value in (pod.get("nodeSelector") or {}).items())


def takes(pod: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Return whether pods of a spec may come to a node, now or when it is well again."""
    return chosen(pod, node) and untolerated(pod, node) is None


def untolerated(pod: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    """Return why a node keeps a pod out for good: a taint; None if none does."""
    for taint in _taints(pod, node):
        if not _passes(taint):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"its taint {taint['key']}{value}:{taint['effect']} is not tolerated"
    return None


def resting(pod: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    """Return why a node takes no pods for now; None if it does."""
    if node["spec"].get("unschedulable"):
        return "it is cordoned"
    passing = [taint["key"] for taint in _taints(pod, node) if _passes(taint)]
    return f"it is {passing[0].rpartition('/')[2]}" if passing else None


def _taints(pod: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the taints by which a node keeps a pod out now."""
    tolerations = pod.get("tolerations") or ()
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] in _KEEPS_OUT and not any(_tolerates(t, taint) for t in tolerations):
            yield taint


def _passes(taint: Mapping[str, Any]) -> bool:
    """Return whether a taint tells of the state of a node, such as `not-ready`."""
    return str(taint["key"]).startswith(_STATES)


def capacity(node: Mapping[str, Any], resource: str) -> int:
    """Return how many of a resource a node hands out to pods, whether they are taken or not."""
    return _count((node.get("status", {}).get("allocatable") or {}).get(resource))


def requested(pod: Mapping[str, Any], resource: str) -> int:
    """Return how many of a resource a pod takes: its containers, or one that runs before them."""
    spec = pod["spec"]
    before: list[int] = []
    together = sum(_asked(each, resource) for each in spec.get("containers") or ())
    for each in spec.get("initContainers") or ():
        if each.get("restartPolicy") == "Always":
            together += _asked(each, resource)
        else:
            before.append(_asked(each, resource))
    return max([together, *before])


def taken(pods: Iterable[Mapping[str, Any]], resource: str) -> dict[str, int]:
    """Return how many of a resource are taken on each node, by pods that are bound to it."""
    found: dict[str, int] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if node and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
            found[node] = found.get(node, 0) + requested(pod, resource)
    return found


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def _asked(container: Mapping[str, Any], resource: str) -> int:
    resources = container.get("resources") or {}
    asked = (resources.get("requests") or {}).get(resource)
    return _count(asked if asked is not None else (resources.get("limits") or {}).get(resource))


def _count(quantity: object) -> int:
    """Return a quantity of an extended resource, which is a whole number."""
    return int(amount(str(quantity or "0")) or 0)
