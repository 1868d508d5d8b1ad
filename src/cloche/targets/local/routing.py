"""The routes of the gateway: the wanted splits, joined with the ready replicas.

A thread of its own tells the gateway about each change of routes or replicas, then reads what it
serves until that is what is wanted.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from cloche.errors import ClocheError
from cloche.targets.local import records
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    Route,
    ServiceRoutes,
)
from cloche.targets.local.lifecycle import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from cloche.artifacts import ModelRepository
    from cloche.targets import Placement
    from cloche.targets.local.supervised import Record

_ASK_EVERY = 0.02
_ASK_SLOWLY = 0.5
_SOON = 5.0
_SETTLED = 0.2
"""Seconds after which every worker thread of the gateway uses new routes."""
_log = logging.getLogger(__name__)


class AppliedRoutes(Protocol):
    """The result of telling the gateway."""

    @property
    def held(self) -> tuple[str, ...]:
        """Services that keep their old routes because no replica of the new ones is healthy."""


class GatewayServer(Protocol):
    """The gateway, as routing uses it."""

    def apply(self, state: GatewayState) -> AppliedRoutes:
        """Serve a state."""

    def sweep(self) -> tuple[str, ...]:
        """Remove clusters without routes and requests; return those that still have requests."""

    def seen_routes(self) -> tuple[Route, ...]:
        """Return the routes that the gateway serves."""

    def is_done_with(self, endpoint: Endpoint) -> bool:
        """Return whether the gateway sends nothing to a replica and awaits nothing from it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted split of each service, stored on disk."""

    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A placed revision, and the records of its replicas."""

    placement: Placement
    replicas: tuple[Record, ...]


def gateway_state(routes: Iterable[Route], placed: Iterable[Placed]) -> GatewayState:
    """Join routes and replicas; leave out routes to revisions that are not placed."""
    known = {(each.placement.service, each.placement.revision): each for each in placed}
    by_service: dict[str, list[Route]] = {}
    for route in sorted(routes, key=_order):
        if (route.service, route.revision) in known:
            by_service.setdefault(route.service, []).append(route)
    services = []
    for name, shares in by_service.items():
        # The revision with the most traffic first: its model is the one in the health check.
        repositories = [
            known[name, share.revision].placement.repository
            for share in sorted(shares, key=lambda share: -share.weight)
        ]
        models = dict.fromkeys(model for each in repositories for model in each.models)
        revisions = tuple(
            RevisionEndpoints(
                share.revision, share.weight, _endpoints(known[name, share.revision].replicas)
            )
            for share in shares
        )
        numbered = any(_is_numbered(each) for each in repositories)
        services.append(ServiceRoutes(name, tuple(models), revisions, numbered))
    return GatewayState(tuple(services))


def _is_numbered(repository: ModelRepository) -> bool:
    """Return whether a repository has a folder MODEL/VERSION of a version other than 1."""
    folders = {PurePosixPath(file.path).parts[1] for file in repository.files if "/" in file.path}
    return any(folder.isdecimal() and folder != "1" for folder in folders)


def _endpoints(replicas: Iterable[Record]) -> tuple[Endpoint, ...]:
    return tuple(
        sorted(
            Endpoint(record.ports[0], record.ports[1])
            for record in replicas
            if record.pid is not None and record.life.step is Step.READY
        )
    )


class Routing:
    """Updates the gateway when routes or replicas change."""

    def __init__(
        self,
        gateway: GatewayServer,
        path: Path,
        *,
        placed: Callable[[], Sequence[Placed]],
        running: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._gateway = gateway
        self._path = path
        self._placed = placed
        self._running = running
        self._changed = changed
        self._wanted = records.load(path, Wanted) or Wanted()
        self._applied = GatewayState()
        self._applied_at: float | None = None
        self._held = False
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="keep-routes", daemon=True)
        self.seen: tuple[Route, ...] = ()

    def start(self) -> None:
        """Start the thread, which first tells the gateway all routes."""
        self._thread.start()

    def wake(self) -> None:
        """Compare routes and replicas now."""
        self._awake.set()

    def close(self) -> None:
        """End the thread; the gateway keeps its routes."""
        self._closing = True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(20.0)

    def route(self, service: str, split: Mapping[int, int]) -> None:
        """Set the wanted split of a service; raises ClocheError if it cannot be written.

        A revision that is not in it gets no new requests and finishes those that it has.
        """
        with self._lock:
            others = [route for route in self._wanted.routes if route.service != service]
            self._want([*others, *(Route(service, *share) for share in split.items())])

    def keep_only(self, services: Collection[str]) -> None:
        """Forget the split of every other service."""
        with self._lock:
            self._want([route for route in self._wanted.routes if route.service in services])

    def wanted_split(self, service: str) -> dict[int, int]:
        """Return the wanted split of a service."""
        return _split(self._wanted.routes, service)

    def seen_split(self, service: str) -> dict[int, int]:
        """Return the split of a service that the gateway was last seen to serve."""
        return _split(self.seen, service)

    def _want(self, routes: Iterable[Route]) -> None:
        wanted = Wanted(tuple(sorted(routes, key=_order)))
        if wanted == self._wanted:
            return
        records.save(self._path, wanted)
        self._wanted = wanted
        self.wake()

    def drained(self, record: Record) -> bool:
        """Return whether a replica has no request and none is on its way to it."""
        if not self._running():
            return True
        if self._applied_at is None or time.monotonic() - self._applied_at < _SETTLED:
            return False
        http, grpc, *_ = record.ports
        replica = Endpoint(http, grpc)
        offered = any(
            replica in revision.endpoints
            for service in self._applied.services
            for revision in service.revisions
        )
        try:
            return not offered and self._gateway.is_done_with(replica)
        except ClocheError:
            return False

    def _run(self) -> None:
        pause: float | None = 0.0
        while not self._closing:
            self._awake.wait(pause)
            self._awake.clear()
            try:
                pause = self._turn()
            except ClocheError as error:
                _log.warning("Routes: %s", error.what)
                pause = _ASK_SLOWLY
            except Exception:  # noqa: BLE001 - a defect must not end the thread
                _log.exception("Keeping the routes")
                pause = _ASK_SLOWLY

    def _turn(self) -> float | None:
        """Tell the gateway what is new; return the seconds until the next turn, None for `wake`."""
        state = self._state()
        if state != self._applied or self._applied_at is None or self._held:
            self._applied_at = None
            self._held = bool(self._gateway.apply(state).held)
            self._applied, self._applied_at = state, time.monotonic()
        if not self._running():
            self.seen = ()
            return None  # the gateway's supervisor wakes this thread when it runs
        seen = tuple(sorted(self._gateway.seen_routes(), key=_order))
        if seen != self.seen:
            self.seen = seen
            self._changed()
        if self._held or self._gateway.sweep():
            return _ASK_SLOWLY
        if seen == _routes_of(state):
            return None
        soon = time.monotonic() - self._applied_at < _SOON
        return _ASK_EVERY if soon else _ASK_SLOWLY

    def _state(self) -> GatewayState:
        """Return what the gateway should serve: routes and replicas of one moment.

        A revision is stopped right after it lost its routes. Its stopped replicas joined with the
        routes before that would make a service of no replica.
        """
        while True:
            wanted = self._wanted
            state = gateway_state(wanted.routes, self._placed())
            if wanted is self._wanted:
                return state


def _order(route: Route) -> tuple[str, int]:
    return route.service, route.revision


def _split(routes: Iterable[Route], service: str) -> dict[int, int]:
    return {route.revision: route.weight for route in routes if route.service == service}


def _routes_of(state: GatewayState) -> tuple[Route, ...]:
    return tuple(
        Route(service.name, revision.revision, revision.weight)
        for service in state.services
        for revision in service.revisions
    )
