"""How an Envoy Gateway sends requests to pods: retries, health checks, and no limit of its own.

What happens without: a request longer than 15 s ends, that of a pod that is killed is lost, and
those to a node that was cut off wait until it is back.
https://gateway.envoyproxy.io/docs/api/extension_types/#backendtrafficpolicy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes.objects import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOLS = ("http", "grpc")
_CHECKS: dict[str, dict[str, Any]] = {
    "http": {"type": "HTTP", "http": {"path": "/v2/health/ready", "expectedStatuses": [200]}},
    "grpc": {"type": "GRPC", "grpc": {}},
}


def name_of(service: str, protocol: str) -> str:
    """Return the name of a policy, from that of the service's objects."""
    return f"{service}.{protocol}"


def of(service: str, namespace: str, protocol: str, route: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy of a protocol, for all rules of a route that carry it."""
    meta = metadata.of_service(service, namespace)
    rules = [
        rule["name"]
        for rule in route["spec"]["rules"]
        if rule["name"] == protocol or rule["name"].startswith(f"{protocol}-")
    ]
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {**meta, "name": name_of(meta["name"], protocol)},
        "spec": {
            "targetRefs": [
                {
                    "group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                    "name": meta["name"], "sectionName": rule,
                }
                for rule in rules
            ],
            "timeout": {
                "tcp": {"connectTimeout": "1s"},
                # A model may take as long as its caller waits. Connections that idle are closed
                # before a pod that ends would wait for them.
                "http": {"requestTimeout": "0s", "connectionIdleTimeout": "5s"},
            },
            "retry": _retry(),
            "healthCheck": {
                # A revision that has just got the traffic counts as ill until Envoy has heard of
                # its health, for about 1 s: with no pod known to be well, all are asked. 0 would
                # refuse every request meanwhile.
                "panicThreshold": 1,
                "active": {
                    "timeout": "1s", "interval": "1s", "unhealthyThreshold": 2,
                    "healthyThreshold": 1, **_CHECKS[protocol],
                },
                "passive": {
                    "consecutiveLocalOriginFailures": 2, "splitExternalLocalOriginErrors": True,
                    "interval": "1s", "baseEjectionTime": "5s", "maxEjectionPercent": 50,
                },
            },
        },
    }  # fmt: skip


def _retry() -> dict[str, Any]:
    """Ask another pod where none has answered yet: an inference changes nothing."""
    return {
        "numRetries": 3,
        "retryOn": {
            "triggers": [
                "connect-failure", "refused-stream", "reset", "unavailable",
                "retriable-status-codes",
            ],
            "httpStatusCodes": [503],
        },
        "perRetry": {"backOff": {"baseInterval": "50ms", "maxInterval": "500ms"}},
    }  # fmt: skip
