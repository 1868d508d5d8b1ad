"""The NetworkPolicy of a service: who reaches its pods, and that they reach only DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import metadata
from cloche.targets.kubernetes.objects.pod import PORTS

if TYPE_CHECKING:
    from cloche.artifacts import Exposure

_NAMESPACE = "kubernetes.io/metadata.name"


def of(
    service: str, namespace: str, exposure: Exposure, *, by_hand: bool = False
) -> dict[str, Any]:
    """Return the policy; requests come from the cluster, or from where its Gateway is.

    What leads to the pods of a service that was made by hand (`by_hand`) is not known.
    The proxies of a Gateway may be in another namespace than the Gateway itself, so all namespaces
    may send requests; metrics are read from the named one alone.
    """
    serving = [_port("http"), _port("grpc")]
    anywhere: dict[str, Any] = {"ports": serving}
    if exposure.expose is not Expose.LOADBALANCER and not by_hand:
        anywhere["from"] = [{"namespaceSelector": {}}]
    ingress = [anywhere]
    if exposure.prometheus is not None:
        source = {"namespaceSelector": {"matchLabels": {_NAMESPACE: exposure.prometheus}}}
        ingress.append({"from": [source], "ports": [_port("metrics")]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata.of_service(service, namespace),
        "spec": {
            "podSelector": {"matchLabels": names.selector(service)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": [{"ports": [{"port": 53, "protocol": each} for each in ("UDP", "TCP")]}],
        },
    }


def _port(name: str) -> dict[str, Any]:
    return {"port": PORTS[name], "protocol": "TCP"}
