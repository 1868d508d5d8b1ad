"""The routes of the gateway: the wanted splits, joined with the ready replicas.

A thread of its own tells the gateway about each change of routes or replicas, then reads what it
serves until that is what is wanted. Where a process of it was started anew it is told again: only a
running one says what it refuses.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from cloche.errors import ClocheError
from cloche.targets.local import records
from cloche.targets.local.addresses import Addresses
from cloche.targets.local.envoy.services import Endpoint, GatewayState, Route
from cloche.targets.local.joining import gateway_state, order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from cloche.targets.local.joining import Placed
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

    @property
    def refused(self) -> Mapping[str, str]:
        """The gateway's words for services that it refuses; they keep their old routes."""


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


class Routing:
    """Updates the gateway when routes or replicas change."""

    def __init__(
        self,
        gateway: GatewayServer,
        path: Path,
        addresses: Path,
        *,
        placed: Callable[[], Sequence[Placed]],
        running: Callable[[], frozenset[int]],
        changed: Callable[[], None],
        reserve: Path | None = None,
    ) -> None:
        self._gateway = gateway
        self._reserve = reserve
        self._path = path
        self._placed = placed
        self._running = running
        self._changed = changed
        self._wanted = records.load(path, Wanted) or Wanted()
        self._addresses_path = addresses
        self._addresses = records.load(addresses, Addresses) or Addresses()
        self._applied = GatewayState()
        self._applied_at: float | None = None
        self._held = False
        self._told = frozenset[int]()
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="keep-routes", daemon=True)
        self.seen: tuple[Route, ...] = ()
        self.refused: Mapping[str, str] = {}
        """By service: the words with which the gateway refuses its routes."""

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

        A revision that is not in it gets no new requests and finishes those that it has. A service
        without a split gives up its names.
        """
        with self._lock:
            if not split:
                self._keep_addresses(self._addresses.without(service))
            others = [route for route in self._wanted.routes if route.service != service]
            self._want([*others, *(Route(service, *share) for share in split.items())])

    def keep_only(self, services: Collection[str]) -> None:
        """Forget the split and the names of every other service."""
        with self._lock:
            self._keep_addresses(self._addresses.kept(services))
            self._want([route for route in self._wanted.routes if route.service in services])

    def owner(self, name: str) -> str | None:
        """Return the service that the name of a model leads to; None if no service has it."""
        return self._addresses.owner(name)

    def wanted_split(self, service: str) -> dict[int, int]:
        """Return the wanted split of a service."""
        return _split(self._wanted.routes, service)

    def seen_split(self, service: str) -> dict[int, int]:
        """Return the split of a service that the gateway was last seen to serve."""
        return _split(self.seen, service)

    def _keep_addresses(self, addresses: Addresses) -> None:
        if addresses != self._addresses:
            records.save(self._addresses_path, addresses, reserve=self._reserve)
            self._addresses = addresses

    def _want(self, routes: Iterable[Route]) -> None:
        wanted = Wanted(tuple(sorted(routes, key=order)))
        if wanted == self._wanted:
            return
        records.save(self._path, wanted, reserve=self._reserve)
        self._wanted = wanted
        self.wake()

    def drained(self, record: Record) -> bool:
        """Return whether a replica has no request and none is on its way to it."""
        if not self._running():
            return True
        if not self._is_settled():
            return False
        replica = _endpoint(record)
        try:
            return not self._offers(replica) and self._gateway.is_done_with(replica)
        except ClocheError:
            return False

    def offered(self, record: Record) -> bool:
        """Return whether every worker thread of the gateway sends requests to a replica."""
        return bool(self._running()) and self._is_settled() and self._offers(_endpoint(record))

    def _is_settled(self) -> bool:
        applied_at = self._applied_at
        return applied_at is not None and time.monotonic() - applied_at >= _SETTLED

    def _offers(self, replica: Endpoint) -> bool:
        return any(
            replica in revision.endpoints
            for service in self._applied.services
            for revision in service.revisions
        )

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
        state, running = self._state(), self._running()
        if running - self._told:
            self._applied_at = None
        self._told = running
        if state != self._applied or self._applied_at is None or self._held:
            self._apply(state)
        if not self._running():
            self.seen, self._told = (), frozenset()
            return None  # the gateway's supervisor wakes this thread when it runs
        seen = tuple(sorted(self._gateway.seen_routes(), key=order))
        if seen != self.seen:
            self.seen = seen
            self._changed()
        if self._held or self._gateway.sweep():
            return _ASK_SLOWLY
        if _of_others(seen, self.refused) == _of_others(_routes_of(state), self.refused):
            return None
        soon = time.monotonic() - (self._applied_at or 0.0) < _SOON
        return _ASK_EVERY if soon else _ASK_SLOWLY

    def _apply(self, state: GatewayState) -> None:
        self._applied_at = None
        applied = self._gateway.apply(state)
        self._held = bool(applied.held)
        self._applied, self._applied_at = state, time.monotonic()
        if applied.refused != self.refused:
            for service, words in applied.refused.items():
                _log.error("The gateway refuses the routes of %s: %s", service, words)
            self.refused = applied.refused
            self._changed()

    def _state(self) -> GatewayState:
        """Return what the gateway should serve: routes and replicas of one moment.

        A revision is stopped right after it lost its routes. Its stopped replicas joined with the
        routes before that would make a service of no replica.
        """
        while True:
            wanted = self._wanted
            state = gateway_state(wanted.routes, self._placed())
            with self._lock:
                if wanted is self._wanted:
                    return self._with_names(state)

    def _with_names(self, state: GatewayState) -> GatewayState:
        """Return a state in which each service has the names that it had first."""
        names = {each.name: (*each.models, *each.aliases) for each in state.services}
        self._keep_addresses(self._addresses.with_names(names))
        return GatewayState(
            tuple(
                replace(service, plain=self._addresses.owned(service.name, names[service.name]))
                for service in state.services
            )
        )


def _endpoint(record: Record) -> Endpoint:
    http, grpc, *_ = record.addresses
    return Endpoint(http, grpc)


def _split(routes: Iterable[Route], service: str) -> dict[int, int]:
    return {route.revision: route.weight for route in routes if route.service == service}


def _of_others(routes: Iterable[Route], refused: Collection[str]) -> tuple[Route, ...]:
    return tuple(route for route in routes if route.service not in refused)


def _routes_of(state: GatewayState) -> tuple[Route, ...]:
    return tuple(
        Route(service.name, revision.revision, revision.weight)
        for service in state.services
        for revision in service.revisions
    )
