"""The metadata of objects: name, labels, and what owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names

if TYPE_CHECKING:
    from cloche.targets.desired import Placement


def of_service(service: str, namespace: str) -> dict[str, Any]:
    """Return the metadata of an object of a service."""
    return {
        "name": names.of_service(service),
        "namespace": namespace,
        "labels": names.labels(service),
    }


def of_revision(placement: Placement, namespace: str) -> dict[str, Any]:
    """Return the metadata of an object of a revision, with the labels of its pods."""
    service, number = placement.service, placement.revision
    given = (placement.pod or {}).get("metadata", {})
    annotations = given.get("annotations")
    return {
        "name": names.of_revision(service, number),
        "namespace": namespace,
        "labels": {**given.get("labels", {}), **names.labels(service, number)},
        **({"annotations": dict(annotations)} if annotations else {}),
    }


def owned_by(body: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    """Return an object that goes when its owner goes."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {**body, "metadata": {**body["metadata"], "ownerReferences": [reference]}}
