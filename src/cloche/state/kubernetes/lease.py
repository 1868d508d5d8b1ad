"""The right to act for a service on a cluster: a Lease that one host at a time holds.

Its holder renews it again and again, and counts from the beginning of its last successful renewal
how long it may act: until well before the others would take over. These count from when they last
saw the Lease change. Everyone counts on a clock of its own that no one sets, so it does not matter
what time it is anywhere. A clock that stands still while a machine sleeps would not do: who wakes
up would think that it still holds what others took.

Neither replaces the other check: a write that was decided while the Lease was held may be sent
later, so it names the version of what it changes.

https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from cloche.clients.kubernetes.kinds import LEASE
from cloche.errors import ClocheError, StaleError
from cloche.state.kubernetes.names import Part, object_name
from cloche.state.kubernetes.objects import (
    Body,
    new_body,
    require_ours,
    uid_of,
    version_of,
    write_marked,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.clients.kubernetes.cluster import Cluster

_log = logging.getLogger(__name__)
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds."""

    duration: float = 15.0
    """Without a renewal for so long, others take over."""
    usable: float = 10.0
    """Without a renewal for so long, the holder no longer acts."""
    pause: float = 2.0
    """Between renewals, or looks at the Lease of another."""


def awake_or_asleep() -> float:
    """Return seconds on a clock that nobody sets and that goes on while the machine sleeps."""
    # Of Linux; on macOS the monotonic clock is one.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def own_identity() -> str:
    """Return a name for this host that no other has: `user@machine/process/random`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, in a container
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


class Lease:
    """Implements `cloche.state.Hold` for one service, between `start` and `release`."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        service: str,
        *,
        identity: str = "",
        terms: Terms | None = None,
        clock: Callable[[], float] = awake_or_asleep,
    ) -> None:
        self.services = (service,)
        self.identity = identity or own_identity()
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._terms = terms or Terms()
        self._clock = clock
        self._usable_until = _NEVER
        self._holder = ""
        self._seen: tuple[tuple[str, str], float] | None = None
        """The Lease of another as it was last seen, and since when it is so."""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def holder(self) -> str:
        """Return who held it when it was last looked at; empty if nobody did."""
        return self._holder

    def held(self, service: str) -> bool:
        return service == self._service and self._clock() < self._usable_until

    # ── the thread ────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Ask for it once, then again and again in a thread of its own until `release`.

        Raises what the first look at the cluster does, and ConflictError `state.foreign`.
        """
        self.step()
        self._thread = threading.Thread(target=self._run, name="cloche-lease", daemon=True)
        self._thread.start()

    def release(self, patience: float = 5.0) -> None:
        """Let others have it at once; after `patience` seconds leave it to end by itself."""
        self._ending.set()
        self._usable_until = _NEVER
        if self._thread is None:
            self._let_go()
        else:
            self._thread.join(patience)

    def _run(self) -> None:
        while not self._ending.wait(self._terms.pause):
            try:
                self.step()
            except ClocheError as error:
                _log.warning("%s: %s", error.code, error.what)
        self._let_go()

    def _let_go(self) -> None:
        try:
            self._remove()
        except ClocheError as error:
            _log.info("%s: %s", error.code, error.what)

    # ── one step ──────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        """Renew it, or take it if it is free or was not renewed for too long.

        Raises what the cluster answers; until then it is held no longer than before.
        """
        asked_at = self._clock()
        body = self._read()
        if body is not None and not self._may_take(body):
            self._holder = _holder(body)
            self._usable_until = _NEVER
            return
        try:
            write_marked(self._cluster, LEASE, self._taken(body))
        except StaleError:
            return  # the next look says who was first
        self._holder, self._seen = self.identity, None
        if not self._ending.is_set():
            self._usable_until = asked_at + self._terms.usable

    def _read(self) -> Body | None:
        name = object_name(self._service, Part.LEASE)
        body = self._cluster.get(LEASE, name, self._namespace)
        if body is not None:
            require_ours(body, self._service, Part.LEASE)
        return body

    def _may_take(self, body: Body) -> bool:
        if _holder(body) in {"", self.identity}:
            return True
        now, state = self._clock(), (uid_of(body), version_of(body))
        if self._seen is None or self._seen[0] != state:
            self._seen = state, now
        return now - self._seen[1] > self._duration_of(body)

    def _duration_of(self, body: Body) -> float:
        """Return how long its holder may be silent: what it said, but never less than ours."""
        said = (body.get("spec") or {}).get("leaseDurationSeconds") or 0
        return max(float(said), self._terms.duration)

    def _taken(self, body: Body | None) -> Body:
        taken = body or new_body(LEASE, self._namespace, self._service, Part.LEASE)
        before, now = taken.get("spec") or {}, _micro_time()
        renewed = before.get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "acquireTime": before.get("acquireTime", now) if renewed else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0)
            + (0 if renewed or body is None else 1),
        }
        return {**taken, "spec": spec}

    def _remove(self) -> None:
        body = self._read()
        if body is None or _holder(body) != self.identity:
            return
        name = object_name(self._service, Part.LEASE)
        self._cluster.delete(
            LEASE, name, self._namespace, uid=uid_of(body), version=version_of(body)
        )


def _holder(body: Body) -> str:
    return str((body.get("spec") or {}).get("holderIdentity") or "")


def _micro_time() -> str:
    """Return the time for people, as Kubernetes writes it; nothing is decided by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
