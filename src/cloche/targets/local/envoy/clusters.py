"""Upstreams: one cluster per revision and protocol, with its current endpoints.

A cluster whose endpoints change is replaced: Envoy warms the new one, moves requests over, and lets
requests under way end on their connections. Endpoints in files of their own would save the new
connections, but Envoy uses an inotify instance per file and aborts when the user has none left (128
on most systems, for all programs together).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.clients.kserve.client import UNIX
from cloche.targets.local.envoy import sequences
from cloche.targets.local.envoy.services import ClusterName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.targets.local.envoy.services import (
        Endpoint,
        GatewayState,
        RevisionEndpoints,
        ServiceRoutes,
    )

Json = dict[str, Any]

PROTOCOLS = ("http", "grpc")
ANSWERS = "cloche.answers"
"""The cluster of the gateway's own answers."""
METADATA = "cloche"
"""The namespace of a cluster's metadata, all of which is text."""
REVISION = "revision"
MODEL = "model"
"""The first model by which the servers know it, as it stands in a path."""

_TYPES = "type.googleapis.com/envoy"
CLUSTER_TYPE = f"{_TYPES}.config.cluster.v3.Cluster"
_MOST_AT_ONCE = 2**20
"""Connections and requests of a cluster: more than there can be clients. Envoy's own limit of 1024
would let so many slow uploads keep out everybody else."""
_MOST_RETRIES = 1024
"""Retries under way at once; Envoy's default limit for requests."""
_GRPC_IDLE_SECONDS = 1
"""How long a connection for gRPC is kept without a call; a new one takes a fraction of a
millisecond. Envoy keeps those of clients that have gone, too."""
_LIMITS: Json = {
    "max_connections": _MOST_AT_ONCE,
    "max_pending_requests": _MOST_AT_ONCE,
    "max_requests": _MOST_AT_ONCE,
    # When a replica dies, all its requests are retried at once; Envoy's default limit is 3.
    "max_retries": _MOST_RETRIES,
}
_GRPC_CONNECTIONS: Json = {
    "common_http_protocol_options": {"idle_timeout": f"{_GRPC_IDLE_SECONDS}s"}
}
_EJECTION: Json = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 1,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 0,
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "max_ejection_percent": 100,
    "base_ejection_time": "2s",
    "max_ejection_time": "2s",
    "interval": "1s",
}
"""Takes out a replica that refuses a connection or breaks it off, at once, so that the request is
sent again to another one: the one that died has no requests, and would be chosen again. Answers do
not count, whatever they say."""
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters_in(
    state: GatewayState,
) -> Iterator[tuple[ClusterName, ServiceRoutes, RevisionEndpoints]]:
    """Yield every cluster of a state."""
    for service in state.services:
        for revision in service.revisions:
            for protocol in PROTOCOLS:
                yield ClusterName(service.name, revision.revision, protocol), service, revision


def cluster(name: ClusterName, model: str, revision: RevisionEndpoints) -> Json:
    """Return the cluster of a revision; the health check is that of `model`."""
    grpc = name.protocol == "grpc"
    protocol: Json = {"http2_protocol_options" if grpc else "http_protocol_options": {}}
    known = {REVISION: str(name.revision), MODEL: quote(model, safe="")}
    replicas = [
        _endpoint(name, each) | sequences.place(revision, each)
        for each in sorted(revision.endpoints)
    ]
    return {
        "@type": CLUSTER_TYPE,
        "name": str(name),
        "metadata": {"filter_metadata": {METADATA: known}},
        "type": "STATIC",
        "connect_timeout": "1s",
        **sequences.balancing(revision),
        **(sequences.room(revision) if grpc else {}),
        "circuit_breakers": {"thresholds": [_LIMITS]},
        # What a caller sends can end a connection to Triton: it repeats names in its errors, and
        # an error of more than 64 KiB is one that HTTP/2 cannot carry. So none is shared.
        "connection_pool_per_downstream_connection": grpc,
        "load_assignment": {
            "cluster_name": str(name),
            "endpoints": [{"lb_endpoints": replicas}],
        },
        "typed_extension_protocol_options": {
            _PROTOCOL_OPTIONS: {
                "@type": f"type.googleapis.com/{_PROTOCOL_OPTIONS}",
                "explicit_http_config": protocol,
                **(_GRPC_CONNECTIONS if grpc else {}),
                **sequences.filters(revision),
            }
        },
        "common_lb_config": {
            # Without a healthy replica try the others: on a busy machine the check may be late.
            "healthy_panic_threshold": {"value": 1},
            # Otherwise workers learn of a change of health up to a second after the admin
            # interface shows it, and a route to new replicas would reach them first.
            "update_merge_window": "0s",
        },
        "health_checks": [health_check(model)],
        "outlier_detection": _EJECTION,
    }


def answers() -> Json:
    """Return the cluster of the gateway's own answers, a listener inside the same process."""
    return {
        "name": ANSWERS,
        "type": "STATIC",
        "typed_extension_protocol_options": {
            _PROTOCOL_OPTIONS: {
                "@type": f"type.googleapis.com/{_PROTOCOL_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": ANSWERS,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {
                                    "envoy_internal_address": {"server_listener_name": ANSWERS}
                                }
                            }
                        }
                    ]
                }
            ],
        },
    }


def health_check(model: str) -> Json:
    """Return the health check, which takes out a replica even while Cloche does not run.

    A replica that does not answer it gets no more requests within two seconds. It also brings back
    what `_EJECTION` took out, where that answers.

    Both clusters of a revision check by HTTP, since it is one server.
    """
    return {
        "timeout": "1s",
        "interval": "0.5s",
        "no_traffic_interval": "2s",
        "unhealthy_interval": "0.5s",
        "healthy_threshold": 1,
        "unhealthy_threshold": 1,
        "reuse_connection": True,
        "http_health_check": {
            "path": f"/v2/models/{quote(model, safe='')}/ready",
            "codec_client_type": "HTTP1",
        },
    }


def _endpoint(name: ClusterName, endpoint: Endpoint) -> Json:
    return {
        "endpoint": {
            "address": _address(endpoint.grpc if name.protocol == "grpc" else endpoint.http),
            "health_check_config": {"address": _address(endpoint.http)},
        },
    }


def _address(address: str) -> Json:
    if address.startswith(UNIX):
        return {"pipe": {"path": address.removeprefix(UNIX)}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
