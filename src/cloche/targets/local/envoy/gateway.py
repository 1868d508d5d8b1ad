"""The gateway: an Envoy process that somebody else starts and this object tells what to serve.

    gateway = Gateway(folder, settings, install)
    gateway.prepare()                  # writes what Envoy starts from
    arguments, environment = gateway.command()
    …start it, or adopt the one that runs…
    gateway.apply(state)               # again and again, with what should be served now

Everything is kept in files, so that a new object over the same folder goes on where another one
stopped, and Envoy goes on with neither. `apply` never makes a route to what is not there: clusters
come first and are seen, routes second and are seen, and what lost its routes is removed by `sweep`
once it has no request left.
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
from cloche.targets.local.envoy.switching import awaited, decode, ready_to_switch, switched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.installation import EnvoyInstallation

_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of telling the gateway."""

    seen: bool
    """Whether the running gateway was seen to have it; False where none runs."""
    held: tuple[str, ...] = ()
    """Services that keep their old routes, because no replica of the new ones is seen healthy."""


class EnvoyGateway:
    """One gateway over a folder of its own."""

    def __init__(
        self, folder: Path, settings: Settings, install: Callable[[], EnvoyInstallation]
    ) -> None:
        """Take a folder that may not exist; `install` is called when Envoy is to be started."""
        self.folder = folder
        self.settings = settings
        self.install = install
        self._socket = socket_path(folder)
        self._admin = Admin(self._socket)
        self._applied = folder / "applied.json"

    @property
    def address(self) -> str:
        """Return `host:port`, which is both the HTTP and the gRPC address."""
        return f"{self.settings.gateway_host}:{self.settings.gateway_port}"

    # ── the process ───────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Write all that Envoy starts from; what is served already stays."""
        for name in ("clusters", "listeners", "routes"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        make_socket_folder(self._socket)
        if not self._clusters_file.exists():
            xds.publish(self._clusters_file, clusters.CLUSTER_TYPE, [])
        self._publish_routes(self._routed())
        listeners = listener.listeners(self.settings, self.folder / "routes")
        xds.publish(self.folder / "listeners" / "listeners.json", listener.LISTENER_TYPE, listeners)
        document = bootstrap(self.folder, self._socket)
        xds.replace(self.folder / "bootstrap.json", json.dumps(document, indent=1).encode())

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Return the arguments and the environment of the process to start.

        The environment is all that it gets, nothing of the user's own. SIGTERM ends it at once;
        so it is ended when its replicas have no request left.
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
            # A request that is too large is its sender's mistake, and told to the sender.
            "--component-log-level",
            "http:critical",
        ]
        return arguments, {"PATH": "/usr/bin:/bin"}

    def check_port(self) -> None:
        """Raise the error that names who has the gateway's port, where somebody has."""
        sockets.check(self.settings.gateway_host, self.settings.gateway_port)

    def ready(self) -> bool:
        """Return whether the gateway takes requests."""
        return self._admin.live()

    # ── what it serves ────────────────────────────────────────────────────────────────────────

    def apply(self, state: GatewayState) -> Applied:
        """Make the gateway serve this state: safe to repeat, safe to be cut off.

        Returns once the running gateway is seen to have it, some seconds later where it does not
        follow, and at once where none runs: it will read the files when it starts.
        """
        self.sweep()
        self._publish_clusters(state)
        before = self._routed()
        running = self._admin.running()
        ready = frozenset(service.name for service in state.services)
        if running:
            self._until(lambda: self._has_clusters(state))
            ready = self._until_healthy(before, state)
        after = switched(before, state, ready)
        versions = self._publish_routes(after)
        xds.replace(self._applied, json.dumps(asdict(after)).encode())
        seen = running and self._until(lambda: self._has_routes(versions))
        return Applied(seen, tuple(each.name for each in state.services if each.name not in ready))

    def sweep(self) -> tuple[str, ...]:
        """Remove clusters that no route leads to and that have no request; return those left."""
        routed = self._routed_clusters()
        present = xds.published(self._clusters_file)
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
        """Return whether the gateway sends nothing to a replica and waits for nothing from it.

        As long as it has the replica among its hosts it may send to it. After that the connections
        say it: each is closed as soon as it has no request.
        """
        own = {endpoint.http_port, endpoint.grpc_port}
        if any(host.port in own for host in self._hosts()):
            return False
        process = self._admin.process()
        return process is None or not sockets.connected(process, own)

    # ── files ─────────────────────────────────────────────────────────────────────────────────

    @property
    def _clusters_file(self) -> Path:
        return self.folder / "clusters" / "clusters.json"

    def _routed(self) -> GatewayState:
        """Return the state that the route tables on disk were made of."""
        try:
            return decode(json.loads(self._applied.read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return GatewayState()

    def _routed_clusters(self) -> set[str]:
        """Return the clusters that routes lead to: as remembered, as written, and as in use."""
        found = {str(name) for name, _, _ in clusters.named(self._routed())}
        for name in (routes.HTTP_TABLE, routes.GRPC_TABLE):
            for table in xds.published(self._table_file(name)):
                found |= routes.clusters_of(table)
        for _, table in self._tables().values():
            found |= routes.clusters_of(table)
        return found

    def _table_file(self, name: str) -> Path:
        return self.folder / "routes" / f"{name}.json"

    def _publish_clusters(self, state: GatewayState) -> None:
        """Write the clusters of a state, and those before it that still have routes."""
        wanted = {
            str(name): clusters.cluster(name, service.models[0], revision.endpoints)
            for name, service, revision in clusters.named(state)
        }
        present = {each["name"]: each for each in xds.published(self._clusters_file)}
        listed = {**present, **wanted}
        ordered = [listed[name] for name in sorted(listed)]
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

    # ── what is seen ──────────────────────────────────────────────────────────────────────────

    def _hosts(self) -> tuple[Host, ...]:
        """Return the endpoints in use; none where no gateway runs, and so no request is left."""
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
        return {str(name) for name, _, _ in clusters.named(state)} <= self._admin.clusters()

    def _has_routes(self, versions: dict[str, str]) -> bool:
        seen = {name: version for name, (version, _) in self._tables().items()}
        return versions.items() <= seen.items()

    def _until_healthy(self, before: GatewayState, state: GatewayState) -> frozenset[str]:
        """Return the services whose routes may change now, waiting for those that may soon."""
        healthy: frozenset[str] = frozenset()
        waited_for = frozenset(awaited(before, state))

        def all_ready() -> bool:
            nonlocal healthy
            hosts = {host.cluster for host in self._hosts() if host.healthy}
            healthy = frozenset(ready_to_switch(before, state, hosts))
            return waited_for <= healthy

        self._until(all_ready)
        return healthy

    @staticmethod
    def _until(condition: Callable[[], bool]) -> bool:
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
