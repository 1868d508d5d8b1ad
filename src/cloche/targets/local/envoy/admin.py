"""Envoy's admin interface over its socket: the configuration that the running gateway uses."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.clients.kserve.client import UNIX
from cloche.errors import UnavailableError
from cloche.targets.local import socket_folder
from cloche.targets.local.envoy import statistics
from cloche.targets.local.local_http import LocalConnection


def socket_path(folder: Path, name: str = "admin.sock") -> Path:
    """Return the path of an admin socket of a gateway's folder."""
    return socket_folder.place(folder, len(name)) / name


@dataclass(frozen=True, slots=True)
class Host:
    """One endpoint of a cluster in the gateway."""

    cluster: str
    address: str
    """`127.0.0.1:18000` or `unix:/run/a.http`"""
    active: int
    """Requests that it has not answered yet."""
    healthy: bool


class Admin:
    """The admin interface of one running gateway; every call ends within `timeout` seconds."""

    def __init__(self, path: Path, timeout: float = 2.0) -> None:
        self._path = path
        self._timeout = timeout

    def live(self) -> bool:
        """Return whether Envoy has its configuration and takes requests."""
        try:
            return self._get("/ready").strip() == b"LIVE"
        except UnavailableError:
            return False

    def running(self) -> bool:
        """Return whether a process answers, even while it starts."""
        try:
            self._get("/ready")
        except UnavailableError:
            return False
        return True

    def process(self) -> int | None:
        """Return the pid of the process that answers; None if none does."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self._timeout)
            connection.connect(str(self._path))
            # struct ucred of unix(7): process, user and group
            size = struct.calcsize("3i")
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            return int(struct.unpack("3i", credentials)[0])
        return None

    def route_tables(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the version and the metadata of each route table in use, by name."""
        tables = {}
        fields = "version_info,route_config.name,route_config.metadata"
        for dumped in self._dump("dynamic_route_configs", fields):
            table = dumped.get("route_config", {})
            tables[table.get("name", "")] = (dumped.get("version_info", ""), table)
        return tables

    def clusters_version(self) -> str | None:
        """Return the version of the last file of clusters that was taken whole.

        None if the gateway does not say, as one that an earlier version of Cloche started.
        """
        document = self._get_json("/stats?filter=cds.version_text&type=TextReadouts&format=json")
        values = [str(stat.get("value", "")) for stat in document.get("stats", [])]
        return values[0] if values else None

    def clusters(self) -> frozenset[str]:
        """Return the names of the clusters that can take requests."""
        dumped = self._dump("dynamic_active_clusters", "cluster.name")
        return frozenset(each.get("cluster", {}).get("name", "") for each in dumped)

    def hosts(self) -> tuple[Host, ...]:
        """Return all endpoints of all clusters."""
        document = self._get_json("/clusters?format=json")
        return tuple(
            _host(cluster.get("name", ""), host)
            for cluster in document.get("cluster_statuses", [])
            for host in cluster.get("host_statuses", [])
        )

    def counts(self) -> dict[statistics.Key, statistics.Counts]:
        """Return what was counted of each revision since the process started."""
        path = "/stats?usedonly&format=json&histogram_buckets=detailed&filter=%5Ecluster%5C."
        return statistics.counts_in(self._get_json(path))

    def _dump(self, resource: str, fields: str) -> list[dict[str, Any]]:
        """Return some fields of all resources of a kind; all fields would be megabytes."""
        path = f"/config_dump?resource={resource}&mask={fields}"
        configs = self._get_json(path).get("configs", [])
        return configs if isinstance(configs, list) else []

    def _get_json(self, path: str) -> dict[str, Any]:
        try:
            document = json.loads(self._get(path, expected=200))
        except ValueError as error:
            raise UnavailableError(
                "gateway.admin", f"The gateway's admin interface sent no JSON: {error}."
            ) from error
        return document if isinstance(document, dict) else {}

    def _get(self, path: str, expected: int | None = None) -> bytes:
        connection = LocalConnection(f"{UNIX}{self._path}", self._timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(
                "gateway.admin",
                f"The gateway's admin interface does not answer: {error}.",
                where=str(self._path),
            ) from error
        finally:
            connection.close()
        if expected is not None and response.status != expected:
            raise UnavailableError(
                "gateway.admin",
                f"The gateway's admin interface answered {response.status} to {path}.",
                where=str(self._path),
            )
        return body


def _address(address: dict[str, Any]) -> str:
    if "pipe" in address:
        return f"{UNIX}{address['pipe'].get('path', '')}"
    at = address.get("socket_address", {})
    return f"{at.get('address', '')}:{at.get('port_value', 0)}"


def _host(cluster: str, status: dict[str, Any]) -> Host:
    health = status.get("health_status", {})
    stats = {each.get("name"): int(each.get("value", 0)) for each in status.get("stats", [])}
    failing = any(value for name, value in health.items() if name.startswith("failed_"))
    configured = health.get("eds_health_status", "HEALTHY")
    return Host(
        cluster=cluster,
        address=_address(status.get("address", {})),
        active=stats.get("rq_active", 0),
        healthy=not failing and configured in {"HEALTHY", "UNKNOWN"},
    )
