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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError
from cloche.targets.local.envoy import clusters, listener, routes, sockets, xds
from cloche.targets.local.envoy.admin import Admin, Host, make_socket_folder, socket_path
from cloche.targets.local.envoy.bootstrap import bootstrap
from cloche.targets.local.envoy.publishing import Publisher
from cloche.targets.local.envoy.services import Endpoint, GatewayState, Route, ServiceRoutes
from cloche.targets.local.envoy.switching import (
    ready_to_switch,
    services_to_await,
    switch,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.installation import EnvoyInstallation


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of `apply`."""

    seen: bool
    """Whether the running gateway was seen to have the routes; False if it does not run."""
    held: tuple[str, ...] = ()
    """Services that keep their old routes because no replica of the new ones is healthy."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Envoy's words for services that it refuses; they keep their old routes."""


class EnvoyGateway:
    """One gateway over a folder of its own."""

    def __init__(
        self, folder: Path, settings: Settings, install: Callable[[], EnvoyInstallation], log: Path
    ) -> None:
        """Use a folder, which may not exist; `install` is called before Envoy starts.

        `log` is where the output of its process goes.
        """
        self.folder = folder
        self.settings = settings
        self.install = install
        self._socket = socket_path(folder)
        self._admin = Admin(self._socket)
        self._files = Publisher(folder, settings, self._admin, log)
        self._refused: dict[str, tuple[ServiceRoutes, str]] = {}
        """By service: what the running Envoy refused, and its words."""

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
        self._refused = {}
        if not self._files.clusters_file.exists():
            self._files.write_clusters((), ())
        self._files.write_routes(self._files.written_state())
        listeners = listener.listeners(self.settings, self.folder / "routes")
        xds.publish(
            self.folder / "listeners" / "listeners.json",
            listener.LISTENER_TYPE,
            listeners,
            reserve=self._files.reserve,
        )
        document = bootstrap(self.folder, self._socket)
        xds.replace(
            self.folder / "bootstrap.json",
            json.dumps(document, indent=1).encode(),
            reserve=self._files.reserve,
        )

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
        follow. If it does not run, returns at once: it reads the files when it starts. A service
        that Envoy refuses keeps what it had; all others are served as they should be.
        """
        self.sweep()
        before = self._files.written_state()
        if not self._admin.running():
            self._files.write_clusters(
                state.services, xds.read_resources(self._files.clusters_file)
            )
            self._files.write_routes(state)
            self._files.keep(state)
            return Applied(seen=False)
        refused = self._known_refusals(state)
        refused |= self._files.offer_clusters(without(state, refused, before))
        wanted = without(state, refused, before)
        ready = self._wait_until_healthy(before, wanted)
        seen, taken, unrouted = self._files.offer_routes(switch(before, wanted, ready))
        self._files.keep(taken)
        refused |= unrouted
        self._refused = {
            each.name: (each, refused[each.name]) for each in state.services if each.name in refused
        }
        held = tuple(each.name for each in wanted.services if each.name not in ready)
        return Applied(seen, held, refused)

    def _known_refusals(self, state: GatewayState) -> dict[str, str]:
        """Return the words for services that are as they were when this Envoy refused them."""
        known = ((each, self._refused.get(each.name)) for each in state.services)
        return {each.name: found[1] for each, found in known if found and found[0] == each}

    def listener_refusal(self, since: int) -> str | None:
        """Return why Envoy refused its listener since an offset of its log, None if it did not."""
        return self._files.log.listener_refusal(since)

    def sweep(self) -> tuple[str, ...]:
        """Remove clusters without routes and requests; return those that still have requests."""
        routed = self._files.clusters_with_routes()
        present = xds.read_resources(self._files.clusters_file)
        retired = [each["name"] for each in present if each["name"] not in routed]
        if not retired:
            return ()
        busy = {host.cluster for host in self._hosts() if host.active}
        left = tuple(name for name in retired if name in busy)
        kept = [each for each in present if each["name"] in routed or each["name"] in left]
        xds.publish(
            self._files.clusters_file, clusters.CLUSTER_TYPE, kept, reserve=self._files.reserve
        )
        return left

    def seen_routes(self) -> tuple[Route, ...]:
        """Return the routes that the running gateway has in both of its tables."""
        tables = self._files.tables()
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

    # ── the running gateway ───────────────────────────────────────────────────────────────────

    def _hosts(self) -> tuple[Host, ...]:
        """Return the endpoints in use; empty if no gateway runs, so no request is left."""
        try:
            return self._admin.hosts()
        except UnavailableError:
            if self._admin.running():
                raise
            return ()

    def _wait_until_healthy(self, before: GatewayState, state: GatewayState) -> frozenset[str]:
        """Return the services whose routes may change, after waiting for their replicas."""
        healthy: frozenset[str] = frozenset()
        waited_for = frozenset(services_to_await(before, state))

        def all_ready() -> bool:
            nonlocal healthy
            hosts = {host.cluster for host in self._hosts() if host.healthy}
            healthy = frozenset(ready_to_switch(before, state, hosts))
            return waited_for <= healthy

        self._files.wait_until(all_ready)
        return healthy
