"""The Services: one for each revision, and one for the service itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose, Exposure
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import metadata
from cloche.targets.kubernetes.objects.pod import PORTS

if TYPE_CHECKING:
    from cloche.targets.desired import Placement


def of_revision(placement: Placement, namespace: str) -> dict[str, Any]:
    """Return the Service of a revision's ready pods."""
    spec = {
        "type": "ClusterIP",
        "selector": names.selector(placement.service, placement.revision),
        "ports": _ports(),
    }
    return _service(metadata.of_revision(placement, namespace), spec)


def of_service(service: str, namespace: str, revision: int, exposure: Exposure) -> dict[str, Any]:
    """Return the Service by which clients of the cluster reach a service.

    Without a gateway it leads to the pods of one revision.
    """
    is_public = exposure.expose is Expose.LOADBALANCER
    spec = {
        "type": "LoadBalancer" if is_public else "ClusterIP",
        "selector": names.selector(service, revision),
        "ports": _ports(),
    }
    return _service(metadata.of_service(service, namespace), spec)


def _service(meta: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _ports() -> list[dict[str, Any]]:
    """Return the ports; a Gateway speaks HTTP/2 without TLS to the one that says so."""
    return [
        {"name": "http", "port": PORTS["http"], "targetPort": "http", "protocol": "TCP",
         "appProtocol": "http"},
        {"name": "grpc", "port": PORTS["grpc"], "targetPort": "grpc", "protocol": "TCP",
         "appProtocol": "kubernetes.io/h2c"},
        {"name": "metrics", "port": PORTS["metrics"], "targetPort": "metrics", "protocol": "TCP"},
    ]  # fmt: skip
