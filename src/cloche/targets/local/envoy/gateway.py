"""The gateway: this object tells an Envoy process, which its caller starts, what to serve.

    gateway = Gateway(folder, settings, install)
    gateway.prepare()                  # writes the files that Envoy starts from
    arguments, environment = gateway.command()
    …start it, or adopt a running one…
    gateway.apply(state)               # after each change, with what should be served

Everything is in files: a new object over the same folder continues, and Envoy runs without either.
`apply` never makes a route to a missing cluster: it writes clusters and waits until the gateway has
them, then does the same with routes. `sweep` removes a cluster without routes when it has no
requests left.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import UnavailableError
from cloche.targets.local.envoy import clusters, listener, routes, sockets, xds
from cloche.targets.local.envoy.admin import Admin, Host, make_socket_folder, socket_path
from cloche.targets.local.envoy.bootstrap import bootstrap
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    Route,
)
from cloche.targets.local.envoy.switching import decode, ready_to_switch, services_to_await, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.installation import EnvoyInstallation

_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of `apply`."""

    seen: bool
    """Whether the running gateway was seen to have the routes; False if it does not run."""
    held: tuple[str, ...] = ()
    """Services that keep their old routes because no replica of the new ones is healthy."""


class EnvoyGateway:
    """One gateway over a folder of its own."""

    def __init__(
        self, folder: Path, settings: Settings, install: Callable[[], EnvoyInstallation]
    ) -> None:
        """Use a folder, which may not exist; `install` is called before Envoy starts."""
        self.folder = folder
        self.settings = settings
        self.install = install
        self._socket = socket_path(folder)
        self._admin = Admin(self._socket)
        self._applied = folder / "applied.json"

    @property
    def address(self) -> str:
        """Return `host:port`, the address of both HTTP and gRPC."""
        return f"{self.settings.gateway_host}:{self.settings.gateway_port}"

    # ── the process ───────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Write the files that Envoy starts from; keep the routes that it serves."""
        for name in ("clusters", "listeners", "routes"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        make_socket_folder(self._socket)
        if not self._clusters_file.exists():
            xds.publish(self._clusters_file, clusters.CLUSTER_TYPE, [])
        self._publish_routes(self._written_state())
        listeners = listener.listeners(self.settings, self.folder / "routes")
        xds.publish(self.folder / "listeners" / "listeners.json", listener.LISTENER_TYPE, listeners)
        document = bootstrap(self.folder, self._socket)
        xds.replace(self.folder / "bootstrap.json", json.dumps(document, indent=1).encode())

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Return the arguments and the environment of the process to start.

        The environment is complete and has nothing of the user's. SIGTERM ends Envoy at once, so it
        is ended only when its replicas have no requests left.
        """
        arguments = [
            str(self.install().binary),
            "--config-path",
            str(self.folder / "bootstrap.json"),
            "--concurrency",
            str(self.settings.gateway_workers),
            "--disable-hot-restart",
            "--log-level",
            "warning",
            # A request that is too large is not logged: the sender gets an error.
            "--component-log-level",
            "http:critical",
        ]
        return arguments, {"PATH": "/usr/bin:/bin"}

    def check_port(self) -> None:
        """Raise `gateway.port_taken` with the process that has the gateway's port, if any."""
        sockets.check(self.settings.gateway_host, self.settings.gateway_port)

    def ready(self) -> bool:
        """Return whether the gateway takes requests."""
        return self._admin.live()

    # ── routes ────────────────────────────────────────────────────────────────────────────────

    def apply(self, state: GatewayState) -> Applied:
        """Make the gateway serve a state; safe to repeat and to interrupt.

        Returns when the running gateway is seen to have it, or after some seconds if it does not
        follow. If it does not run, returns at once: it reads the files when it starts.
        """
        self.sweep()
        self._publish_clusters(state)
        before = self._written_state()
        running = self._admin.running()
        ready = frozenset(service.name for service in state.services)
        if running:
            self._wait_until(lambda: self._has_clusters(state))
            ready = self._wait_until_healthy(before, state)
        after = switch(before, state, ready)
        versions = self._publish_routes(after)
        xds.replace(self._applied, json.dumps(asdict(after)).encode())
        seen = running and self._wait_until(lambda: self._has_routes(versions))
        return Applied(seen, tuple(each.name for each in state.services if each.name not in ready))

    def sweep(self) -> tuple[str, ...]:
        """Remove clusters without routes and requests; return those that still have requests."""
        routed = self._clusters_with_routes()
        present = xds.read_resources(self._clusters_file)
        retired = [each["name"] for each in present if each["name"] not in routed]
        if not retired:
            return ()
        busy = {host.cluster for host in self._hosts() if host.active}
        left = tuple(name for name in retired if name in busy)
        kept = [each for each in present if each["name"] in routed or each["name"] in left]
        xds.publish(self._clusters_file, clusters.CLUSTER_TYPE, kept)
        return left

    def seen_routes(self) -> tuple[Route, ...]:
        """Return the routes that the running gateway has in both of its tables."""
        tables = self._tables()
        if set(tables) < {routes.HTTP_TABLE, routes.GRPC_TABLE}:
            return ()
        shares = [routes.shares_of(table) for _, table in tables.values()]
        return tuple(Route(*each) for each in sorted(set.intersection(*shares)))

    def is_done_with(self, endpoint: Endpoint) -> bool:
        """Return whether the gateway sends nothing to a replica and awaits nothing from it.

        While the replica is one of its hosts, the gateway may send to it. After that it closes
        each connection as soon as that has no request.
        """
        own = {endpoint.http_port, endpoint.grpc_port}
        if any(host.port in own for host in self._hosts()):
            return False
        process = self._admin.process()
        return process is None or not sockets.is_connected(process, own)

    # ── files ─────────────────────────────────────────────────────────────────────────────────

    @property
    def _clusters_file(self) -> Path:
        return self.folder / "clusters" / "clusters.json"

    def _written_state(self) -> GatewayState:
        """Return the state of the route tables on disk."""
        try:
            return decode(json.loads(self._applied.read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return GatewayState()

    def _clusters_with_routes(self) -> set[str]:
        """Return the clusters of all routes: of the last state, on disk, and in use."""
        names = {str(name) for name, _, _ in clusters.clusters_in(self._written_state())}
        for name in (routes.HTTP_TABLE, routes.GRPC_TABLE):
            for table in xds.read_resources(self._table_file(name)):
                names |= routes.clusters_of(table)
        for _, table in self._tables().values():
            names |= routes.clusters_of(table)
        return names

    def _table_file(self, name: str) -> Path:
        return self.folder / "routes" / f"{name}.json"

    def _publish_clusters(self, state: GatewayState) -> None:
        """Write the clusters of a state, and keep all earlier ones, which may have routes."""
        wanted = {
            str(name): clusters.cluster(name, service.models[0], revision.endpoints)
            for name, service, revision in clusters.clusters_in(state)
        }
        present = {each["name"]: each for each in xds.read_resources(self._clusters_file)}
        merged = {**present, **wanted}
        ordered = [merged[name] for name in sorted(merged)]
        xds.publish(self._clusters_file, clusters.CLUSTER_TYPE, ordered)

    def _publish_routes(self, state: GatewayState) -> dict[str, str]:
        """Write both tables and return their versions."""
        tables = (
            routes.http_table(state, self.settings),
            routes.grpc_table(state, self.settings),
        )
        return {
            table["name"]: xds.publish(self._table_file(table["name"]), routes.ROUTES_TYPE, [table])
            for table in tables
        }

    # ── the running gateway ───────────────────────────────────────────────────────────────────

    def _hosts(self) -> tuple[Host, ...]:
        """Return the endpoints in use; empty if no gateway runs, so no request is left."""
        try:
            return self._admin.hosts()
        except UnavailableError:
            if self._admin.running():
                raise
            return ()

    def _tables(self) -> dict[str, tuple[str, dict[str, Any]]]:
        try:
            return self._admin.route_tables()
        except UnavailableError:
            return {}

    def _has_clusters(self, state: GatewayState) -> bool:
        return {str(name) for name, _, _ in clusters.clusters_in(state)} <= self._admin.clusters()

    def _has_routes(self, versions: dict[str, str]) -> bool:
        seen = {name: version for name, (version, _) in self._tables().items()}
        return versions.items() <= seen.items()

    def _wait_until_healthy(self, before: GatewayState, state: GatewayState) -> frozenset[str]:
        """Return the services whose routes may change, after waiting for their replicas."""
        healthy: frozenset[str] = frozenset()
        waited_for = frozenset(services_to_await(before, state))

        def all_ready() -> bool:
            nonlocal healthy
            hosts = {host.cluster for host in self._hosts() if host.healthy}
            healthy = frozenset(ready_to_switch(before, state, hosts))
            return waited_for <= healthy

        self._wait_until(all_ready)
        return healthy

    @staticmethod
    def _wait_until(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                if condition():
                    return True
            except UnavailableError:
                pass
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
