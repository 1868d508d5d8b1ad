"""The host of the local target: replicas and gateway as processes of this machine.

`start` takes over what runs in this home and starts the gateway if it does not run. From then on
every server has a thread that restarts it (`supervisor`), and one more thread updates the routes
(`routing`), so a crashed replica returns without any call. `close` ends the threads and leaves the
servers running; `down` ends them all.

    run/revisions/   see `revisions`        run/routes.json   the split of each service
    run/gateway/     Envoy's files          run/gateway.json  the record of its process
    run/sockets/     those of replicas
"""

from __future__ import annotations

import enum
import os
import shutil
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError
from cloche.progress import SilentProgress
from cloche.targets.local import gateway_process, home_lock, logs, processes, records
from cloche.targets.local.context import HomeContext
from cloche.targets.local.envoy.gateway import EnvoyGateway
from cloche.targets.local.envoy.installation import install as install_envoy
from cloche.targets.local.holds import Holds
from cloche.targets.local.lifecycle import Policy
from cloche.targets.local.revisions import SERVING, RevisionRunner
from cloche.targets.local.software import ReplicaServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.targets import Gateway, Placement, Replica
    from cloche.targets.local.joining import Placed
    from cloche.targets.local.supervised import Record

_SLACK = 10.0
"""Seconds added to the limits of draining and ending."""


class _Stage(enum.Enum):
    NEW = enum.auto()
    TAKEN_OVER = enum.auto()
    KEEPING = enum.auto()
    ENDING = enum.auto()
    CLOSED = enum.auto()


class LocalHost:
    """The servers of one home; implements `cloche.targets.Host`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        server: Server,
        *,
        policy: Policy | None = None,
    ) -> None:
        self._home = settings.home
        self._layout = settings.layout
        self._policy = policy or Policy(drain_limit=settings.gateway_request_timeout)
        self._listeners: list[Callable[[], None]] = []
        self._runners: dict[tuple[str, int], RevisionRunner] = {}
        self._lock = threading.RLock()
        self._home_lock: int | None = None
        self._stage = _Stage.NEW
        self.holds = Holds()
        # Envoy is installed at its first start: a running gateway is adopted, or ended, without it.
        install = partial(install_envoy, settings.layout.servers, SilentProgress())
        self.local_gateway = gateway_process.LocalGateway(
            EnvoyGateway(self._layout.gateway, settings, install, self._layout.log),
            settings,
            self._policy,
            placed=self._placed_revisions,
            changed=self._changed,
        )
        self._context = HomeContext(
            home=self._home,
            software=ReplicaServer(server, settings, store),
            policy=self._policy,
            drained=self._is_drained,
            offered=self.local_gateway.offered,
            changed=self._replicas_changed,
            request_limit=settings.gateway_request_timeout,
        )

    # ── lifecycle ─────────────────────────────────────────────────────────────────────────────

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from any thread, soon after each change of a server."""
        self._listeners.append(listener)

    def start(self, services: tuple[str, ...]) -> None:
        """Take over what runs in this home, and begin to keep it running.

        Replicas of services that are not in `services` are ended. Raises ClocheError
        `gateway.port_taken`, before anything starts, if another process has the gateway's port,
        and `target.local.busy` if another process keeps this home.
        """
        self._take_over()
        try:
            self.local_gateway.start()
            for runner in self.known():
                runner.start()
            self._end_undeclared(services)
            self._forget_finished()
        except BaseException:
            self.close()
            raise
        self._stage = _Stage.KEEPING

    def _end_undeclared(self, services: tuple[str, ...]) -> None:
        self.local_gateway.keep_only(services)
        for runner in self.known():
            if runner.placement.service not in services:
                runner.remove()

    def replicas(self) -> tuple[Replica, ...]:
        """Return all replicas; before `start`, those that `start` would take over."""
        return tuple(replica for runner in self.runners() for replica in runner.replicas())

    def gateway(self) -> Gateway:
        """Return the gateway; before `start`, the one that `start` would take over."""
        self._take_over()
        return self.local_gateway.view()

    def close(self) -> None:
        """Stop keeping the servers; they run on."""
        self._stage = _Stage.CLOSED
        for runner in (runners := self.known()):
            runner.close()
        for runner in runners:
            runner.join(time.monotonic() + _SLACK)
        self.local_gateway.close()
        if self._home_lock is not None:
            os.close(self._home_lock)
            self._home_lock = None

    def down(self) -> None:
        """Drain and stop everything in this home, the gateway last, and close.

        Without `start` it takes over first, and starts nothing.
        """
        if self._stage is _Stage.CLOSED:
            return
        started = self._stage is _Stage.KEEPING
        self._take_over()
        self._stage = _Stage.ENDING
        runners = self.known()
        for runner in runners:
            runner.remove()
        if not started:
            self._keep_to_end(runners)
        limit = self._policy.drain_limit + self._policy.end_limit + _SLACK
        deadline = time.monotonic() + limit
        for runner in runners:
            runner.join(deadline)
        self.local_gateway.end(self._policy.end_limit + _SLACK)
        self.close()
        processes.end_strays(self._home, kept=())
        self._context.software.sweep(kept=())
        shutil.rmtree(self._layout.run, ignore_errors=True)

    def _keep_to_end(self, runners: Sequence[RevisionRunner]) -> None:
        """Begin to supervise what was taken over only to be ended."""
        if not self.local_gateway.runs:
            self.local_gateway.stop()  # it does not run; do not start it only to end it
        for runner in runners:
            runner.start()
        self.local_gateway.keep()

    # ── for the target ────────────────────────────────────────────────────────────────────────

    def require_keeping(self) -> None:
        """Raise UnavailableError `target.local.not_kept` if this process keeps no servers now."""
        if self._stage is not _Stage.KEEPING:
            raise UnavailableError(
                "target.local.not_kept",
                "The servers of this home are being ended, or are not kept by this process.",
                where=str(self._home),
                hint="Wait until they have ended, then deploy again.",
            )

    def place(self, placement: Placement) -> None:
        """Run the replicas of a placement; raises ClocheError if that cannot begin."""
        self.require_keeping()
        key = placement.service, placement.revision
        with self._lock:
            runner = self._runners.get(key)
            if runner is None:
                runner = self._runners[key] = RevisionRunner(placement, self._context)
        try:
            runner.place(placement)
        finally:
            with self._lock:  # it may have been forgotten meanwhile because it was finished
                self._runners[key] = runner
            self._forget_finished()

    def remove(self, service: str, revision: int) -> None:
        """Drain and stop all replicas of a revision, then forget it."""
        with self._lock:
            runner = self._runners.get((service, revision))
        if runner is not None:
            runner.remove()
            self._forget_finished()

    def runners(self, service: str | None = None) -> list[RevisionRunner]:
        """Return the running revisions of a service or of all, or what `start` would take over."""
        self._take_over()
        return self.known(service)

    def known(self, service: str | None = None) -> list[RevisionRunner]:
        """Return the same; none before they are taken over."""
        with self._lock:
            found = [self._runners[key] for key in sorted(self._runners)]
        return [runner for runner in found if service in {None, runner.placement.service}]

    # ── taking over ───────────────────────────────────────────────────────────────────────────

    def _take_over(self) -> None:
        """Adopt the recorded servers of this home that run, and end every other process of it."""
        if self._stage is not _Stage.NEW:
            return
        self._home_lock = home_lock.take(self._layout.target_lock, self._home)
        self._stage = _Stage.TAKEN_OVER
        try:
            self._adopt()
        except BaseException:
            self.close()  # servers adopted so far run on, and nothing else was touched
            raise
        self._clean_folders()

    def _adopt(self) -> None:
        running = processes.find(self._home)
        leaders = {process.marker.run: process for process in running if process.leads}
        kept = self.local_gateway.adopt(leaders)
        for folder in records.entries(self._context.folder):
            runner = RevisionRunner.restore(folder, self._context)
            if runner is None:
                continue
            self._runners[runner.placement.service, runner.placement.revision] = runner
            kept |= runner.adopt(leaders)
        for name in processes.end_strays(self._home, kept):
            folder = self._context.folder / name.rpartition("-")[0]
            self._context.software.clean(folder / SERVING, name)
        self._context.software.sweep({name for name, _ in kept})

    def _clean_folders(self) -> None:
        """Remove what no process uses: unfinished folders and old logs."""
        known = {runner.folder for runner in self.known()}
        for folder in self._context.folder.glob("*"):
            if folder not in known:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for unfinished in folder.glob(f".{SERVING}-*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        self._clean_logs()

    def _clean_logs(self) -> None:
        names = {replica.id for runner in self.known() for replica in runner.replicas()}
        logs.clean(self._layout.logs, names)

    def _is_drained(self, record: Record) -> bool:
        return record.name not in self.holds and self.local_gateway.drained(record)

    # ── changes ───────────────────────────────────────────────────────────────────────────────

    def _placed_revisions(self) -> list[Placed]:
        return [runner.placed() for runner in self.known()]

    def _replicas_changed(self) -> None:
        self._forget_finished()
        self.local_gateway.wake()
        self._changed()

    def _forget_finished(self) -> None:
        with self._lock:
            finished = [key for key, runner in self._runners.items() if runner.finished]
            for key in finished:
                del self._runners[key]
        if finished:
            self._clean_logs()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()
