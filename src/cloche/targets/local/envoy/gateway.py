"""The gateway: this object tells Envoy processes, which its caller starts, what to serve.

    gateway = EnvoyGateway(folder, settings, install, log)
    gateway.prepare()                  # writes the files that all processes read
    for process in gateway.processes:
        process.prepare()
        arguments, environment = process.command(binary)
        …start it, or adopt a running one…
    gateway.apply(state)               # after each change, with what should be served

The processes listen on one port (SO_REUSEPORT, see socket(7)): the kernel gives each connection to
one of them, and when one dies the others go on.

Everything is in files: a new object over the same folder continues, and Envoy runs without either.
`apply` never makes a route to a missing cluster: it writes clusters and waits until the gateway has
them, then does the same with routes. `sweep` removes a cluster without routes when it has no
requests left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError
from cloche.targets.local.envoy import clusters, listener, routes, sockets, xds
from cloche.targets.local.envoy.admins import Admins
from cloche.targets.local.envoy.process import NAME, EnvoyProcess
from cloche.targets.local.envoy.publishing import Publisher
from cloche.targets.local.envoy.refusals import EnvoyLogs
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
    from cloche.targets.local.envoy.admin import Host
    from cloche.targets.local.envoy.installation import EnvoyInstallation
    from cloche.targets.local.envoy.statistics import Counts, Key


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
        self,
        folder: Path,
        settings: Settings,
        install: Callable[[], EnvoyInstallation],
        log: Callable[[str], Path],
    ) -> None:
        """Use a folder, which may not exist; `install` is called before Envoy starts.

        `log` returns where the output of a process goes, by its name.
        """
        self.folder = folder
        self.settings = settings
        self.install = install
        names = [NAME, *(f"{NAME}-{number}" for number in range(2, settings.gateway_processes + 1))]
        self.claim = sockets.PortClaim(settings.gateway_host, settings.gateway_port)
        self._use(tuple(EnvoyProcess(name, folder, settings, log(name)) for name in names))
        self._refused: dict[str, tuple[ServiceRoutes, str]] = {}
        """By service: what the running Envoy refused, and its words."""

    def _use(self, processes: tuple[EnvoyProcess, ...]) -> None:
        self.processes = processes
        """The processes that share the port; each is started, watched and ended on its own."""
        self._admin = Admins([process.admin for process in processes])
        logs = EnvoyLogs([process.log for process in processes])
        self._files = Publisher(self.folder, self.settings, self._admin, logs)

    @property
    def address(self) -> str:
        """Return `host:port`, the address of both HTTP and gRPC."""
        return f"{self.settings.gateway_host}:{self.settings.gateway_port}"

    # ── the processes ───────────────────────────────────────────────────────────────────────────

    def prepare(self, *, listeners: bool = True) -> None:
        """Write the files that every process reads; keep the routes that are served."""
        for name in ("clusters", "listeners", "routes"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refused = {}
        if not self._files.clusters_file.exists():
            self._files.write_clusters((), ())
        self._files.write_routes(self._files.written_state())
        if listeners:
            xds.publish(
                self._listeners,
                listener.LISTENER_TYPE,
                listener.listeners(self.settings, self.folder / "routes"),
                reserve=self._files.reserve,
            )

    def shares_port(self) -> bool:
        """Return whether the listener on disk lets several processes listen."""
        found = xds.read_resources(self._listeners)
        return any(each.get("enable_reuse_port", False) for each in found)

    def keep_to_first(self) -> None:
        """Have only the first process."""
        self._use(self.processes[:1])

    @property
    def _listeners(self) -> Path:
        return self.folder / "listeners" / "listeners.json"

    # ── routes ────────────────────────────────────────────────────────────────────────────────

    def apply(self, state: GatewayState) -> Applied:
        """Make the gateway serve a state; safe to repeat and to interrupt.

        Returns when the running processes are seen to have it, or after some seconds if it does not
        follow. If it does not run, returns at once: it reads the files when it starts. A service
        that Envoy refuses keeps what it had; all others are served as they should be.
        """
        self.sweep()
        before = self._files.written_state()
        if not self._admin.running():
            self._files.write_clusters(state.services, self._files.clusters_on_disk())
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

    def sweep(self) -> tuple[str, ...]:
        """Remove clusters without routes and requests; return those that still have requests."""
        present = self._files.clusters_on_disk()
        retired = self._files.without_routes([each["name"] for each in present])
        if not retired:
            return ()
        busy = {host.cluster for host in self._hosts() if host.active}
        left = tuple(sorted(retired & busy))
        kept = [each for each in present if each["name"] not in retired or each["name"] in left]
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
        own = {endpoint.http, endpoint.grpc}
        if any(host.address in own for host in self._hosts()):
            return False
        return not any(sockets.is_connected(pid, own) for pid in self._admin.processes())

    def counts(self) -> dict[int, dict[Key, Counts]]:
        """Return what each process has counted of each revision since it started, by its pid.

        Raises UnavailableError if none answers.
        """
        return self._admin.counts()

    # ── the running gateway ───────────────────────────────────────────────────────────────────

    def _hosts(self) -> tuple[Host, ...]:
        """Return the endpoints in use; empty if no gateway runs, so no request is left."""
        try:
            return self._admin.hosts()
        except UnavailableError:
            if self._admin.running():
                raise
            return ()

    def _healthy_clusters(self) -> frozenset[str]:
        try:
            return self._admin.healthy_clusters()
        except UnavailableError:
            if self._admin.running():
                raise
            return frozenset()

    def _wait_until_healthy(self, before: GatewayState, state: GatewayState) -> frozenset[str]:
        """Return the services whose routes may change, after waiting for their replicas."""
        healthy: frozenset[str] = frozenset()
        waited_for = frozenset(services_to_await(before, state))

        def all_ready() -> bool:
            nonlocal healthy
            healthy = frozenset(ready_to_switch(before, state, self._healthy_clusters()))
            return waited_for <= healthy

        self._files.wait_until(all_ready)
        return healthy
