"""The local target: replicas and gateway as processes of this machine, kept by threads.

`start` takes over what runs in this home, begins to keep it, and starts the gateway where none
runs. From then on every server has a thread of its own that restarts it (`supervisor`), and one
more keeps the routes (`routing`): nobody has to call anything for a crashed replica to come back
and its endpoint to follow. `close` ends the threads and leaves the servers running, `down` ends
them all. The calls of `Target` only say what should be, and return.

    run/revisions/   see `revisions`        run/routes.json   what `route` was told
    run/gateway/     Envoy's files          run/gateway.json  the record of its process
"""

from __future__ import annotations

import enum
import itertools
import os
import re
import shutil
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import BusyError, UnavailableError
from cloche.progress import SilentProgress
from cloche.targets.local import edge, logs, processes, records
from cloche.targets.local.envoy.gateway import Gateway
from cloche.targets.local.envoy.installation import install as install_envoy
from cloche.targets.local.lifecycle import Policy
from cloche.targets.local.ports import Ports
from cloche.targets.local.revisions import SERVING, RevisionRunner, Surroundings
from cloche.targets.local.software import Software, TritonSoftware
from cloche.targets.target import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.targets.local.routing import Placed
    from cloche.targets.target import Placement, Route

_SLACK = 10.0
"""Seconds that ending may take beyond its limits."""


class _Stage(enum.Enum):
    NEW = enum.auto()
    TAKEN_OVER = enum.auto()
    KEEPING = enum.auto()
    ENDING = enum.auto()
    CLOSED = enum.auto()


class LocalTarget:
    """Revisions as processes of this machine; implements `cloche.targets.target.Target`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        software: Software | None = None,
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
        # Installed when it is first started: what runs is adopted, and ended, without it.
        install = partial(install_envoy, settings.layout.servers, SilentProgress())
        self._edge = edge.Edge(
            Gateway(self._layout.gateway, settings, install),
            settings,
            self._policy,
            placed=self._placed,
            changed=self._changed,
        )
        self._surroundings = Surroundings(
            home=self._home,
            software=software or TritonSoftware(settings, store),
            policy=self._policy,
            ports=Ports(),
            drained=self._edge.drained,
            changed=self._replicas_changed,
        )

    # ── its own life ──────────────────────────────────────────────────────────────────────────

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, from any thread and shortly, whenever `observe` has news."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Take over what runs in this home, and begin to keep it.

        Raises ClocheError `gateway.port_taken`, before anything is started, where another process
        has the gateway's port, and `target.local.busy` where another process keeps this home.
        """
        self._take_over()
        try:
            self._edge.start()
            for runner in self._all():
                runner.start()
            self._forget_finished()
        except BaseException:
            self.close()
            raise
        self._stage = _Stage.KEEPING

    def close(self) -> None:
        """Stop keeping what runs; all of it runs on."""
        self._stage = _Stage.CLOSED
        runners = self._all()
        for runner in runners:
            runner.close()
        for runner in runners:
            runner.join(time.monotonic() + _SLACK)
        self._edge.close()
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
        self._edge.end(self._policy.end_limit + _SLACK)
        self.close()
        processes.end_strays(self._home, kept=())
        shutil.rmtree(self._layout.run, ignore_errors=True)

    def _keep_to_end(self, runners: Sequence[RevisionRunner]) -> None:
        """Begin to keep what was taken over and is to go."""
        if self._edge.record.pid is None:
            self._edge.stop()  # none runs, and none is started only to be ended
        for runner in runners:
            runner.start()
        self._edge.keep()

    # ── what should be ────────────────────────────────────────────────────────────────────────

    def place(self, placement: Placement) -> None:
        key = placement.service, placement.revision
        if self._stage is not _Stage.KEEPING:
            raise UnavailableError(
                "target.local.not_kept",
                "The servers of this home are being ended, or are not kept by this process.",
                where=str(self._home),
                hint="Wait until they have ended, then deploy again.",
            )
        with self._lock:
            runner = self._runners.get(key)
            if runner is None:
                runner = self._runners[key] = RevisionRunner(placement, self._surroundings)
        try:
            runner.place(placement)
        finally:
            with self._lock:  # it may have been forgotten meanwhile, as one that was finished
                self._runners[key] = runner
            self._forget_finished()

    def route(self, routes: Sequence[Route]) -> None:
        self._edge.route(routes)

    def remove(self, service: str, revision: int) -> None:
        with self._lock:
            runner = self._runners.get((service, revision))
        if runner is not None:
            runner.remove()
            self._forget_finished()

    # ── what is ───────────────────────────────────────────────────────────────────────────────

    def observe(self) -> Observation:
        """Return what runs and what is routed; before `start`, what it would take over."""
        self._take_over()
        replicas = itertools.chain.from_iterable(runner.replicas() for runner in self._all())
        return Observation(self._edge.view(), tuple(replicas), self._edge.seen)

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        if follow:
            yield from logs.follow(lambda: self._logs_of(service, revision), lines=lines)
            return
        for name, log in self._logs_of(service, revision).items():
            yield from ((name, line) for line in logs.tail(log, lines))

    def _logs_of(self, service: str, revision: int | None) -> dict[str, Path]:
        """Return the logs of a revision; without one, of those placed, else of the newest."""
        pattern = re.compile(rf"{re.escape(service)}-r(\d+)-\d+\.log")
        found: dict[int, list[Path]] = {}
        for log in sorted((self._layout.logs).glob(f"{service}-r*.log")):
            if match := pattern.fullmatch(log.name):
                found.setdefault(int(match[1]), []).append(log)
        if revision is not None:
            wanted = {revision}
        else:
            with self._lock:
                wanted = {number for name, number in self._runners if name == service}
            wanted = wanted & found.keys() or set(sorted(found)[-1:])
        return {log.stem: log for number in sorted(wanted) for log in found.get(number, ())}

    # ── taking over ───────────────────────────────────────────────────────────────────────────

    def _take_over(self) -> None:
        """Find what runs in this home: take the servers on record, end everything else."""
        if self._stage is not _Stage.NEW:
            return
        self._lock_home()
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
        kept = self._edge.adopt(leaders)
        for folder in records.listed(self._surroundings.folder):
            runner = RevisionRunner.restore(folder, self._surroundings)
            if runner is None:
                continue
            self._runners[runner.placement.service, runner.placement.revision] = runner
            kept |= runner.adopt(leaders)
        for name in processes.end_strays(self._home, kept):
            folder = self._surroundings.folder / name.rpartition("-")[0]
            self._surroundings.software.clean(folder / SERVING, name)

    def _clean_folders(self) -> None:
        """Remove what no process uses: folders that were cut off while made, and old logs."""
        known = {runner.folder for runner in self._all()}
        for folder in self._surroundings.folder.glob("*"):
            if folder not in known:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for unfinished in folder.glob(f".{SERVING}-*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        self._clean_logs()

    def _clean_logs(self) -> None:
        names = {replica.id for runner in self._all() for replica in runner.replicas()}
        logs.clean(self._layout.logs, names)

    def _lock_home(self) -> None:
        """Become the only one that keeps this home, for as long as this process lives."""
        path = self._layout.target_lock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = files.open_lock(path)
        except OSError as error:
            raise records.disk_error(path, error) from error
        if not files.try_lock(descriptor):
            os.close(descriptor)
            raise BusyError(
                "target.local.busy",
                "Another process keeps the servers of this home.",
                where=str(self._home),
                hint="Use the control plane that runs (`cloche status`), or end it.",
            )
        self._home_lock = descriptor

    # ── news ──────────────────────────────────────────────────────────────────────────────────

    def _all(self) -> list[RevisionRunner]:
        with self._lock:
            return [self._runners[key] for key in sorted(self._runners)]

    def _placed(self) -> list[Placed]:
        return [runner.placed() for runner in self._all()]

    def _replicas_changed(self) -> None:
        self._forget_finished()
        self._edge.wake()
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
