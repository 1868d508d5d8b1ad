"""Upstreams: one cluster per revision and protocol, with the endpoints that it has now.

A cluster whose endpoints change is replaced: Envoy warms the new one, moves requests over, and lets
those under way end on the connections that they have. Endpoints in files of their own would spare
the new connections, but Envoy takes an inotify instance for each such file and aborts when the user
has no more of them (128 on most systems, all programs together).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.targets.local.envoy.services import ClusterName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.targets.local.envoy.services import (
        Endpoint,
        GatewayState,
        RevisionEndpoints,
        ServiceRoutes,
    )

Json = dict[str, Any]

PROTOCOLS = ("http", "grpc")
ANSWERS = "cloche.answers"
"""The cluster of the gateway's own listener for what no service answers."""

_TYPES = "type.googleapis.com/envoy"
CLUSTER_TYPE = f"{_TYPES}.config.cluster.v3.Cluster"
_MOST_RETRIES = 1024
"""Under way at once; as many as requests may be (Envoy's default)."""
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def named(state: GatewayState) -> Iterator[tuple[ClusterName, ServiceRoutes, RevisionEndpoints]]:
    """Yield every cluster that a state has."""
    for service in state.services:
        for revision in service.revisions:
            for protocol in PROTOCOLS:
                yield ClusterName(service.name, revision.revision, protocol), service, revision


def cluster(name: ClusterName, model: str, endpoints: Iterable[Endpoint]) -> Json:
    """Return a cluster of these endpoints, which are asked for the health of `model`."""
    grpc = name.protocol == "grpc"
    protocol: Json = {"http2_protocol_options" if grpc else "http_protocol_options": {}}
    return {
        "@type": CLUSTER_TYPE,
        "name": str(name),
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # When a replica dies all of its clients are sent on at once; Envoy's own limit is 3.
        "circuit_breakers": {"thresholds": [{"max_retries": _MOST_RETRIES}]},
        "load_assignment": {
            "cluster_name": str(name),
            "endpoints": [{"lb_endpoints": [_endpoint(name, each) for each in sorted(endpoints)]}],
        },
        "typed_extension_protocol_options": {
            _PROTOCOL_OPTIONS: {
                "@type": f"type.googleapis.com/{_PROTOCOL_OPTIONS}",
                "explicit_http_config": protocol,
            }
        },
        "common_lb_config": {
            # With no healthy replica the answer is 503 at once, not a try at a sick one.
            "healthy_panic_threshold": {"value": 0},
            # Otherwise workers learn of a change of health up to a second after it is seen here,
            # and a route to new replicas would come before them.
            "update_merge_window": "0s",
        },
        "health_checks": [health_check(model)],
    }


def answers() -> Json:
    """Return the cluster of the gateway's own answers: a listener inside the same process."""
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
    """Return the check that takes a replica out of the rotation while Cloche itself is away.

    Both clusters of a revision ask the HTTP port: it is one server.
    """
    return {
        "timeout": "2s",
        "interval": "2s",
        "no_traffic_interval": "2s",
        "unhealthy_interval": "0.5s",
        "healthy_threshold": 1,
        "unhealthy_threshold": 3,
        "reuse_connection": True,
        "http_health_check": {
            "path": f"/v2/models/{quote(model, safe='')}/ready",
            "codec_client_type": "HTTP1",
        },
    }


def _endpoint(name: ClusterName, endpoint: Endpoint) -> Json:
    port = endpoint.grpc_port if name.protocol == "grpc" else endpoint.http_port
    return {
        "endpoint": {
            "address": {"socket_address": {"address": endpoint.host, "port_value": port}},
            "health_check_config": {"port_value": endpoint.http_port},
        },
    }
