"""The HTTPRoute of a service: HTTP and gRPC on its hostname, shared among revisions by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import metadata
from cloche.targets.kubernetes.objects.pod import PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.artifacts import Exposure

GRPC_PATH = "/inference.GRPCInferenceService"
_GRPC = ("ModelInfer", "ModelStreamInfer", "ModelReady", "ModelMetadata", "ModelConfig",
         "ModelStatistics", "ServerLive", "ServerReady", "ServerMetadata")  # fmt: skip
_SERVER_PATHS = ("/v2", "/v2/health/live", "/v2/health/ready")


def of(
    service: str,
    namespace: str,
    models: Iterable[str],
    split: Mapping[int, int],
    exposure: Exposure,
    *,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Return the route; nothing that changes a server is on it.

    `timeout` are the seconds that a request over HTTP may take; over gRPC a stream may be longer.

    `models` are those of all revisions with a share. gRPC names its model in the message, so its
    methods are routed for any.
    """
    http = [{"path": {"type": "Exact", "value": path}} for path in _SERVER_PATHS]
    http += [
        {"path": {"type": "PathPrefix", "value": f"/v2/models/{quote(model, safe='')}"}}
        for model in models
    ]
    grpc = [{"path": {"type": "Exact", "value": f"{GRPC_PATH}/{method}"}} for method in _GRPC]
    gateway_namespace, _, gateway = (exposure.gateway or "").rpartition("/")
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata.of_service(service, namespace),
        "spec": {
            "parentRefs": [{
                "group": "gateway.networking.k8s.io", "kind": "Gateway",
                "name": gateway, "namespace": gateway_namespace,
            }],
            "hostnames": [exposure.host],
            "rules": [
                *_rules("http", http, _backends(service, split, PORTS["http"]), timeout),
                *_rules("grpc", grpc, _backends(service, split, PORTS["grpc"])),
            ],
        },
    }  # fmt: skip


def split_of(route: Mapping[str, Any], service: str) -> dict[int, int]:
    """Return the percent of each revision in a route, without those that have none."""
    stem = f"{names.of_service(service)}-r"
    rules = route["spec"].get("rules") or [{}]
    split: dict[int, int] = {}
    for backend in rules[0].get("backendRefs") or ():
        number = str(backend["name"]).removeprefix(stem)
        if number.isdigit() and backend.get("weight", 1):
            split[int(number)] = backend.get("weight", 1)
    return split


_MOST_MATCHES = 8
"""Matches of one rule at most, and eight rules are sure to be possible (Gateway API: 16 and 64)."""


def _rules(
    name: str,
    matches: list[dict[str, Any]],
    backends: list[dict[str, Any]],
    timeout: float | None = None,
) -> list[dict[str, Any]]:
    limit = {} if timeout is None else {"timeouts": {"request": _duration(timeout)}}
    parts = [matches[i : i + _MOST_MATCHES] for i in range(0, len(matches), _MOST_MATCHES)]
    return [
        {"name": name if number == 0 else f"{name}-{number}", "matches": part,
         "backendRefs": backends, **limit}
        for number, part in enumerate(parts)
    ]  # fmt: skip


def _duration(seconds: float) -> str:
    """Return a duration of the Gateway API: whole numbers of at most five digits with a unit."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    parts = ((whole, "s"), (thousandths, "ms"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _backends(service: str, split: Mapping[int, int], port: int) -> list[dict[str, Any]]:
    return [
        {
            "group": "", "kind": "Service", "name": names.of_revision(service, number),
            "port": port, "weight": weight,
        }
        for number, weight in sorted(split.items())
    ]  # fmt: skip
