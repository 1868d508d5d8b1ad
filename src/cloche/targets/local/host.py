"""The host of the local target: replicas and gateway as processes of this machine.

`start` takes over what runs in this home, begins to keep it, and starts the gateway where none
runs. From then on every server has a thread of its own that restarts it (`supervisor`), and one
more keeps the routes (`routing`): nobody has to call anything for a crashed replica to come back
and its endpoint to follow. `close` ends the threads and leaves the servers running, `down` ends
them all.

    run/revisions/   see `revisions`        run/routes.json   the split of each service
    run/gateway/     Envoy's files          run/gateway.json  the record of its process
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
from cloche.targets.local.envoy.gateway import EnvoyGateway
from cloche.targets.local.envoy.installation import install as install_envoy
from cloche.targets.local.holds import Holds
from cloche.targets.local.lifecycle import Policy
from cloche.targets.local.ports import Ports
from cloche.targets.local.revisions import SERVING, HomeContext, RevisionRunner
from cloche.targets.local.software import ReplicaServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.targets import Gateway, Placement, Replica
    from cloche.targets.local.routing import Placed
    from cloche.targets.local.supervised import Record

_SLACK = 10.0
"""Seconds that ending may take beyond its limits."""


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
        # Installed when it is first started: what runs is adopted, and ended, without it.
        install = partial(install_envoy, settings.layout.servers, SilentProgress())
        self.local_gateway = gateway_process.LocalGateway(
            EnvoyGateway(self._layout.gateway, settings, install),
            settings,
            self._policy,
            placed=self._placed,
            changed=self._changed,
        )
        self._context = HomeContext(
            home=self._home,
            software=ReplicaServer(server, settings, store),
            policy=self._policy,
            ports=Ports(),
            drained=self._drained,
            changed=self._replicas_changed,
        )

    # ── its own life ──────────────────────────────────────────────────────────────────────────

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, from any thread and shortly, whenever a server has news."""
        self._listeners.append(listener)

    def start(self, services: tuple[str, ...]) -> None:
        """Take over what runs in this home, and begin to keep it.

        What runs of services that are not among `services` is ended. Raises ClocheError
        `gateway.port_taken`, before anything is started, where another process has the gateway's
        port, and `target.local.busy` where another process keeps this home.
        """
        self._take_over()
        try:
            self.local_gateway.start()
            for runner in self._all():
                runner.start()
            self._end_undeclared(services)
            self._forget_finished()
        except BaseException:
            self.close()
            raise
        self._stage = _Stage.KEEPING

    def _end_undeclared(self, services: tuple[str, ...]) -> None:
        self.local_gateway.keep_only(services)
        for runner in self._all():
            if runner.placement.service not in services:
                runner.remove()

    def replicas(self) -> tuple[Replica, ...]:
        """Return all replicas; before `start`, those that it would take over."""
        return tuple(replica for runner in self.runners() for replica in runner.replicas())

    def gateway(self) -> Gateway:
        """Return the gateway; before `start`, the one that it would take over."""
        self._take_over()
        return self.local_gateway.view()

    def close(self) -> None:
        """Stop keeping what runs; all of it runs on."""
        self._stage = _Stage.CLOSED
        runners = self._all()
        for runner in runners:
            runner.close()
        for runner in runners:
            runner.join(time.monotonic() + _SLACK)
        self.local_gateway.close()
        if self._home_lock is not None:
            os.close(self._home_lock)
            self._home_lock = None

    def down(self) -> None:
        """Drain and stop everything of this home, the gateway last, and close.

        Also on a target that was not started: then it takes over first, and starts nothing.
        """
        if self._stage is _Stage.CLOSED:
            return
        started = self._stage is _Stage.KEEPING
        self._take_over()
        self._stage = _Stage.ENDING
        runners = self._all()
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
        shutil.rmtree(self._layout.run, ignore_errors=True)

    def _keep_to_end(self, runners: Sequence[RevisionRunner]) -> None:
        """Begin to keep what was taken over and is to go."""
        if self.local_gateway.record.pid is None:
            self.local_gateway.stop()  # none runs, and none is started only to be ended
        for runner in runners:
            runner.start()
        self.local_gateway.keep()

    # ── for the target ────────────────────────────────────────────────────────────────────────

    def require_keeping(self) -> None:
        """Raise UnavailableError `target.local.not_kept` where this process keeps nothing now."""
        if self._stage is not _Stage.KEEPING:
            raise UnavailableError(
                "target.local.not_kept",
                "The servers of this home are being ended, or are not kept by this process.",
                where=str(self._home),
                hint="Wait until they have ended, then deploy again.",
            )

    def place(self, placement: Placement) -> None:
        """Make a revision run with so many replicas; raises ClocheError when it cannot begin."""
        self.require_keeping()
        key = placement.service, placement.revision
        with self._lock:
            runner = self._runners.get(key)
            if runner is None:
                runner = self._runners[key] = RevisionRunner(placement, self._context)
        try:
            runner.place(placement)
        finally:
            with self._lock:  # it may have been forgotten meanwhile, as one that was finished
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
        """Return the revisions that run, of a service or of all; takes over what runs if need be.

        Before `start` it is what would be taken over.
        """
        self._take_over()
        return [one for one in self._all() if service in {None, one.placement.service}]

    # ── taking over ───────────────────────────────────────────────────────────────────────────

    def _take_over(self) -> None:
        """Find what runs in this home: take the servers on record, end everything else."""
        if self._stage is not _Stage.NEW:
            return
        self._home_lock = home_lock.take(self._layout.target_lock, self._home)
        self._stage = _Stage.TAKEN_OVER
        try:
            self._adopt()
        except BaseException:
            self.close()  # what was adopted so far runs on, and nothing else was touched
            raise
        self._clean_folders()

    def _adopt(self) -> None:
        running = processes.find(self._home)
        leaders = {one.marker.run: one for one in running if one.leads}
        kept = self.local_gateway.adopt(leaders)
        for folder in records.listed(self._context.folder):
            runner = RevisionRunner.restore(folder, self._context)
            if runner is None:
                continue
            self._runners[runner.placement.service, runner.placement.revision] = runner
            kept |= runner.adopt(leaders)
        for name in processes.end_strays(self._home, kept):
            folder = self._context.folder / name.rpartition("-")[0]
            self._context.software.clean(folder / SERVING, name)

    def _clean_folders(self) -> None:
        """Remove what no process uses: folders that were cut off while made, and old logs."""
        known = {runner.folder for runner in self._all()}
        for folder in self._context.folder.glob("*"):
            if folder not in known:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for unfinished in folder.glob(f".{SERVING}-*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        self._clean_logs()

    def _clean_logs(self) -> None:
        names = {replica.id for runner in self._all() for replica in runner.replicas()}
        logs.clean(self._layout.logs, names)

    def _drained(self, record: Record) -> bool:
        return record.name not in self.holds and self.local_gateway.drained(record)

    # ── news ──────────────────────────────────────────────────────────────────────────────────

    def _all(self) -> list[RevisionRunner]:
        with self._lock:
            return [self._runners[key] for key in sorted(self._runners)]

    def _placed(self) -> list[Placed]:
        return [runner.placed() for runner in self._all()]

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
