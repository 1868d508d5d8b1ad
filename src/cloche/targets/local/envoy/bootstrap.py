"""The file that Envoy starts from: its admin socket, and the files of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import clusters, statistics
from cloche.targets.local.envoy.revision_routes import REVISION_HEADER, SERVICE_HEADER

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

_INTERNAL_LISTENER: Json = {
    "name": "envoy.bootstrap.internal_listener",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.bootstrap"
        ".internal_listener.v3.InternalListener"
    },
}
"""Enables the listener of the gateway's own answers."""
_MOST_CONNECTIONS = 20_000
_FEWER_CONNECTIONS_THAN_DESCRIPTORS: Json = {
    "resource_monitors": [
        {
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors"
                ".downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": _MOST_CONNECTIONS,
            },
        }
    ]
}
"""Leaves file descriptors for connections to replicas, however many clients connect."""


def bootstrap(folder: Path, admin_socket: Path) -> Json:
    """Return the bootstrap document of a gateway whose files are in `folder`."""
    return {
        "node": {"id": "gateway", "cluster": "cloche"},
        "admin": {
            # Only the user can reach the socket: the admin interface can end the process.
            "address": {"pipe": {"path": str(admin_socket), "mode": 0o600}},
        },
        "dynamic_resources": {
            "cds_config": _source(folder, "clusters", "clusters.json"),
            "lds_config": _source(folder, "listeners", "listeners.json"),
        },
        "static_resources": {"clusters": [clusters.answers()]},
        "bootstrap_extensions": [_INTERNAL_LISTENER],
        # Every request is matched by these headers; inline headers need no search.
        "inline_headers": [
            {"inline_header_name": name, "inline_header_type": kind}
            for name in (SERVICE_HEADER, REVISION_HEADER)
            for kind in ("REQUEST_HEADER", "RESPONSE_HEADER")
        ],
        # Every counter costs time in each request.
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [
                        {"suffix": ".version_text"},
                        {"safe_regex": {"regex": statistics.PATTERN}},
                    ]
                }
            },
            "use_all_default_tags": False,
        },
        "stats_flush_interval": f"{statistics.MERGED_EVERY}s",
        "overload_manager": _FEWER_CONNECTIONS_THAN_DESCRIPTORS,
    }


def _source(folder: Path, kind: str, name: str) -> Json:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(folder / kind / name),
            "watched_directory": {"path": str(folder / kind)},
        },
    }
