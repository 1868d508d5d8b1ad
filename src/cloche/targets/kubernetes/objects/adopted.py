"""What Cloche sets in objects that were made by hand: labels, a note, and a Service's selector.

The template of the pods is never among it. The note has what a Service's selector was before, so
that what was adopted can be given back from the object alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Adopted, Front


def deployment(service: str, number: int, namespace: str, adopted: Adopted) -> dict[str, Any]:
    """Return the Deployment that is a revision, with what Cloche sets in it.

    Another one of that name is refused by its UID.
    """
    noted = {names.ADOPTED: "{}", names.REPLICAS: str(adopted.replicas)}
    metadata = {
        "name": adopted.deployment, "namespace": namespace, "uid": adopted.uid,
        "labels": _labels(service, number), "annotations": noted,
    }  # fmt: skip
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}


def service(
    name: str, namespace: str, front: Front, number: int, *, is_adopted: bool
) -> dict[str, Any]:
    """Return the Service of a service `name` that leads to a revision.

    `is_adopted` says whether that is the Deployment which it led to before.
    """
    metadata = {
        "name": front.name, "namespace": namespace, "labels": _labels(name),
        "annotations": {names.ADOPTED: json.dumps(dict(front.selector), sort_keys=True)},
    }  # fmt: skip
    selector = dict(front.selector) if is_adopted else names.selector(name, number)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": selector}}  # fmt: skip


def is_adopted(body: Mapping[str, Any]) -> bool:
    """Return whether an object was made by hand and adopted."""
    return names.ADOPTED in (body["metadata"].get("annotations") or {})


def selector_before(body: Mapping[str, Any]) -> dict[str, str]:
    """Return what the selector of an adopted Service was; empty for any other object."""
    noted = (body["metadata"].get("annotations") or {}).get(names.ADOPTED, "{}")
    try:
        before = json.loads(noted)
    except ValueError:
        return {}
    return before if isinstance(before, dict) else {}


def is_known(selector: Mapping[str, str], body: Mapping[str, Any]) -> bool:
    """Return whether the selector of an adopted Service was set by Cloche, or is that of before.

    Any other is somebody's change since.
    """
    return dict(selector) == selector_before(body) or names.SERVICE in selector


def given_back(current: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is merged into an adopted object so that it is again as it was found."""
    metadata = current["metadata"]
    labels, annotations = _labels("", 1), (names.ADOPTED, names.APPLIED, names.REPLICAS)
    body: dict[str, Any] = {"metadata": {
        "resourceVersion": metadata["resourceVersion"],
        "labels": dict.fromkeys(labels),
        "annotations": dict.fromkeys(annotations),
    }}  # fmt: skip
    before = selector_before(current)
    now = current["spec"].get("selector") or {}
    if before and is_known(now, current):
        body["spec"] = {"selector": dict.fromkeys(now) | before}
    return body


def _labels(service: str, number: int | None = None) -> dict[str, str]:
    return {names.MANAGED_BY: names.CLOCHE, **names.selector(service, number)}
