"""Writes clusters and route tables for Envoy, and finds out whether it took them."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cloche.errors import UnavailableError
from cloche.targets.local.envoy import clusters, routes, xds
from cloche.targets.local.envoy.isolation import isolate
from cloche.targets.local.envoy.services import GatewayState, ServiceRoutes
from cloche.targets.local.envoy.switching import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.admins import Admins
    from cloche.targets.local.envoy.refusals import EnvoyLogs

Json = dict[str, Any]

WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_NUDGE_SECONDS = 0.5
_TELLING = 3
"""How many refusals by one process are needed to blame the last files: the first may be of files
that it read while they were replaced, and the second of files that it began to read before that was
seen."""


class Publisher:
    """The files of one gateway, and the running process that reads them."""

    def __init__(self, folder: Path, settings: Settings, admin: Admins, logs: EnvoyLogs) -> None:
        self.clusters_file = folder / "clusters" / "clusters.json"
        self._routes = folder / "routes"
        self.reserve = settings.layout.reserve
        self._applied = folder / "applied.json"
        self._settings = settings
        self._admin = admin
        self._logs = logs
        self._routed: dict[str, tuple[str | None, set[str]]] = {}
        """By table: its version on disk, and the clusters that its routes lead to."""
        self._present: tuple[str | None, tuple[Json, ...]] = (None, ())
        """The version of the file of clusters when it was last read, and what it had."""

    # ── files ─────────────────────────────────────────────────────────────────────────────────

    def written_state(self) -> GatewayState:
        """Return the state of the route tables on disk."""
        try:
            return decode(json.loads(self._applied.read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return GatewayState()

    def keep(self, state: GatewayState) -> None:
        """Record the state of the route tables."""
        xds.replace(self._applied, json.dumps(asdict(state)).encode(), reserve=self.reserve)

    def clusters_on_disk(self) -> tuple[Json, ...]:
        """Return all clusters that are on disk; they are read only if they are new."""
        version = xds.read_version(self.clusters_file)
        if version is None or version != self._present[0]:
            self._present = version, tuple(xds.read_resources(self.clusters_file))
        return self._present[1]

    def write_clusters(self, services: Iterable[ServiceRoutes], base: Sequence[Json]) -> str:
        """Write the clusters of services beside earlier ones, and return the file's version."""
        wanted = [each for service in services for each in _clusters_of(service)]
        merged = {each["name"]: each for each in [*base, *wanted]}
        ordered = [merged[name] for name in sorted(merged)]
        return xds.publish(self.clusters_file, clusters.CLUSTER_TYPE, ordered, reserve=self.reserve)

    def write_routes(self, state: GatewayState) -> dict[str, str]:
        """Write both tables and return their versions."""
        tables = (
            routes.http_table(state, self._settings),
            routes.grpc_table(state, self._settings),
        )
        versions = {
            table["name"]: xds.publish(
                self._table_file(table["name"]), routes.ROUTES_TYPE, [table], reserve=self.reserve
            )
            for table in tables
        }
        for table in tables:
            name = table["name"]
            self._routed[name] = versions[name], routes.clusters_of(table)
        return versions

    def without_routes(self, names: Collection[str]) -> set[str]:
        """Return the clusters that no route leads to: of the last state, on disk, or in use."""
        routed = {str(name) for name, _, _ in clusters.clusters_in(self.written_state())}
        for name in (routes.HTTP_TABLE, routes.GRPC_TABLE):
            routed |= self._routed_on_disk(name)
        if routed.issuperset(names):
            return set()  # and nothing has to be asked
        for _, table in self.tables().values():
            routed |= routes.clusters_of(table)
        return set(names) - routed

    def _routed_on_disk(self, name: str) -> set[str]:
        """Return the clusters that a table on disk leads to; it is read only if that is new."""
        file = self._table_file(name)
        version = xds.read_version(file)
        known = self._routed.get(name)
        if known is None or version is None or known[0] != version:
            found = (routes.clusters_of(table) for table in xds.read_resources(file))
            known = self._routed[name] = version, set[str]().union(*found)
        return known[1]

    def _table_file(self, name: str) -> Path:
        return self._routes / f"{name}.json"

    # ── the running gateway ───────────────────────────────────────────────────────────────────

    def tables(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the version and the metadata of each route table in use; empty if none is."""
        try:
            return self._admin.route_tables()
        except UnavailableError:
            return {}

    def offer_clusters(self, state: GatewayState) -> dict[str, str]:
        """Make Envoy have the clusters of a state; return its words for services that it refuses.

        All earlier clusters stay, since they may have routes.
        """
        base = self._clusters_taken(state)
        known = {each["name"]: each for each in base}
        changed = [
            service
            for service in state.services
            if any(known.get(each["name"]) != each for each in _clusters_of(service))
        ]

        def offer(offered: Sequence[ServiceRoutes]) -> str | None:
            marks = self._logs.sizes()
            version = self.write_clusters(offered, base)
            names = {each["name"] for service in offered for each in _clusters_of(service)}
            return self._refusal(
                marks, [self.clusters_file], lambda: self._has_clusters(names, version)
            )

        return isolate(changed, offer)

    def _clusters_taken(self, state: GatewayState) -> Sequence[Json]:
        """Return the clusters on disk that need not be offered.

        That is all of them if Envoy took the file as a whole. Otherwise it is not known whether it
        has those of `state` as they are; of the others, those that it has or that routes lead to.
        """
        present = self.clusters_on_disk()
        if self._admin.clusters_versions() <= {xds.read_version(self.clusters_file)}:
            return present
        wanted = {each["name"] for service in state.services for each in _clusters_of(service)}
        others = {each["name"] for each in present} - wanted
        unused = self.without_routes(others - self._admin.clusters())
        return [each for each in present if each["name"] in others - unused]

    def offer_routes(self, after: GatewayState) -> tuple[bool, GatewayState, dict[str, str]]:
        """Make Envoy have the routes of a state, but for services that it refuses.

        Returns whether it was seen to have them, the state that it has, and its words for the
        refused services, which keep the routes that they had.
        """
        in_use = {each.name: each for each in self._services_in_use()}
        changed = [each for each in after.services if in_use.get(each.name) != each]
        taken, versions, seen = after, dict[str, str](), False

        def accepted() -> bool:
            nonlocal seen
            seen = self._has_routes(versions)
            return seen

        def offer(offered: Sequence[ServiceRoutes]) -> str | None:
            nonlocal taken, versions, seen
            now = in_use | {each.name: each for each in offered}
            names = [each.name for each in after.services if each.name in now]
            taken = GatewayState(tuple(now[name] for name in names))
            marks = self._logs.sizes()
            versions, seen = self.write_routes(taken), False
            files = [self._table_file(name) for name in versions]
            return self._refusal(marks, files, accepted)

        refused = isolate(changed, offer)
        return seen, taken, refused

    def _services_in_use(self) -> tuple[ServiceRoutes, ...]:
        """Return the services of the state on disk whose routes the running gateway has."""
        tables = [routes.shares_of(table) for _, table in self.tables().values()]
        shares = set.intersection(*tables) if len(tables) > 1 else set()
        return tuple(
            service
            for service in self.written_state().services
            if {(service.name, each.revision, each.weight) for each in service.revisions} <= shares
        )

    def _refusal(
        self, marks: tuple[int, ...], files: Collection[Path], accepted: Callable[[], bool]
    ) -> str | None:
        """Wait until Envoy took files or refused them; return its words in the latter case.

        `marks` are the sizes of the logs before they were written. Each refusal that is seen makes
        Envoy read the files again (see `_TELLING`). So does silence: it may have refused them when
        it started.
        """
        seen, words, nudge_at = Counter[int](), "", time.monotonic() + _NUDGE_SECONDS

        def settled() -> bool:
            nonlocal marks, words, nudge_at
            if accepted():
                words = ""
                return True
            if refusals := self._logs.refusals(marks):
                seen.update(refusals.keys())
                words, marks = next(iter(refusals.values())), self._logs.sizes()
            if refusals or time.monotonic() > nudge_at:
                nudge_at = math.inf
                for file in files:
                    xds.replace(file, file.read_bytes(), reserve=self.reserve)
            return max(seen.values(), default=0) >= _TELLING

        return words if self.wait_until(settled) and words else None

    def _has_clusters(self, names: set[str], version: str) -> bool:
        taken = self._admin.clusters_versions() <= {version}
        return taken and names <= self._admin.clusters()

    def _has_routes(self, versions: dict[str, str]) -> bool:
        seen = {name: version for name, (version, _) in self.tables().items()}
        return versions.items() <= seen.items()

    @staticmethod
    def wait_until(condition: Callable[[], bool]) -> bool:
        """Return whether a condition came true within some seconds."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if condition():
                    return True
            except UnavailableError:
                pass
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)


def _clusters_of(service: ServiceRoutes) -> list[Json]:
    return [
        clusters.cluster(name, service.models[0], revision)
        for name, _, revision in clusters.clusters_in(GatewayState((service,)))
    ]
