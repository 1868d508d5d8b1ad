"""Keeps one server running: a thread that looks, decides with `lifecycle`, and acts.

The thread sleeps until its server ends (pidfd), `wake` is called (eventfd) or the next look is due:
every 25 ms while a server starts, every two seconds while it is ready. Each decision is recorded
before it is acted on, if the disk has room, so that one in another process can continue from it.

A process in which the server runs its models ends with it, and what a signal stopped is continued:
both look alive to whoever only asks whether the server is ready.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.home import HomeLayout
from cloche.targets.local import faults, logs, ports, processes
from cloche.targets.local.adoption import resumed
from cloche.targets.local.alarm import Alarm
from cloche.targets.local.lifecycle import (
    CHECKED,
    RUNNING,
    After,
    Health,
    Life,
    Policy,
    Seen,
    Step,
    advance,
    next_look,
)
from cloche.targets.local.processes import MarkedProcess, Marker, ServerProcess
from cloche.targets.local.record_file import RecordFile
from cloche.targets.local.supervised import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.targets.local.supervised import Supervised

_TROUBLE_PAUSE = 1.0
_log = logging.getLogger(__name__)


class Supervisor:
    """Keeps one server running in a thread of its own; `close` ends the thread only."""

    def __init__(
        self,
        supervised: Supervised,
        path: Path,
        *,
        home: Path,
        policy: Policy,
        changed: Callable[[], None],
        restarted_at: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.supervised = supervised
        self._home = home
        self._file = RecordFile(path, HomeLayout(home).reserve)
        self.policy = policy
        self._changed = changed
        self._clock = clock
        life = Life(since=clock(), due=clock())
        self.record = Record(
            supervised.name, processes.boot(), life, _utc_now(), restarted_at=restarted_at
        )
        self._process: ServerProcess | None = None
        self._start_error: str | None = None
        self._next_check = 0.0
        self._stop = False
        self._retry = False
        self._closing = False
        self._alarm = Alarm()
        self._thread = threading.Thread(
            target=self._run, name=f"keep-{supervised.name}", daemon=True
        )

    def resume(self, record: Record, running: MarkedProcess | None) -> None:
        """Take over from an earlier supervisor; `running` is the server if it still runs."""
        self.record, self._process = resumed(record, running, self._home, self._clock())

    def start(self) -> None:
        """Write the record and start the thread; raises ClocheError if it cannot be written."""
        try:
            self._file.begin(self.record)
        except ClocheError:
            self._disconnect()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Begin to drain, end and clean up the server; `record` shows how far that is."""
        self._stop = True
        self.wake()

    def retry(self) -> None:
        """Start the server now if it waits for that, or was given up."""
        self._retry = True
        self.wake()

    def wake(self) -> None:
        """Look now."""
        self._alarm.set()

    def close(self) -> None:
        """Stop supervising; the server runs on. `join` waits until the thread has ended."""
        self._closing = True
        if self._thread.ident is None:
            self._disconnect()
        self.wake()

    def join(self, limit: float) -> None:
        """Wait up to `limit` seconds until the thread has ended, after `stop` or `close`."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(limit)

    @property
    def stopping(self) -> bool:
        """Return whether the server is being removed."""
        return self._stop or self.record.life.after is After.REMOVE

    @property
    def gone(self) -> bool:
        """Return whether the server has ended for good."""
        return self.record.life.step is Step.GONE

    def _run(self) -> None:
        try:
            while not self._closing and not self.gone:
                self._wait(self._guarded_turn())
        finally:
            self._disconnect()

    def _guarded_turn(self) -> float | None:
        """Take one turn; return the pause after it. No error ends the supervision."""
        try:
            self._turn()
        except ClocheError as error:
            _log.warning("%s: %s", self.supervised.name, error.what)
            return _TROUBLE_PAUSE
        except Exception:  # noqa: BLE001 - a defect must not leave a server unsupervised
            _log.exception("Supervising %s", self.supervised.name)
            return _TROUBLE_PAUSE
        life, limit = self.record.life, self.supervised.memory_limit
        pause = faults.pause(life.step, next_look(life, self._clock(), self.policy), limit)
        return self._file.pause(pause)

    def _turn(self) -> None:
        now = self._clock()
        life = self.record.life
        seen = self._look(life, now)
        self._file.catch_up(self.record)
        logs.bound(self.supervised.log)
        after = advance(life, seen, now, self.policy, random.random())  # noqa: S311
        if after.step is not life.step or after.after is not life.after:
            self._enter(after)
        elif after != life:
            self.record = replace(self.record, life=after)
            if after.detail != life.detail:
                self._changed()

    def _look(self, life: Life, now: float) -> Seen:
        retry, self._retry = self._retry, False
        if life.step not in RUNNING:
            return Seen(stop=self._stop, retry=retry)
        if life.step is Step.KILLING and self._process is not None:
            self._process.sweep()
        ended = self._end_of_process()
        if ended is not None:
            lines = logs.last_words(self.supervised.log, start=self.record.log_start)
            return Seen(ended=ended, collided=ports.collided(lines), stop=self._stop)
        if life.step is Step.DRAINING:
            return Seen(drained=self.supervised.drained(self.record), stop=self._stop)
        return Seen(health=None if self._stop else self._health(life, now), stop=self._stop)

    def _health(self, life: Life, now: float) -> Health | None:
        """Return how the server is; None if it was asked just now, or need not be."""
        if life.step not in CHECKED or self._process is None:
            return None
        fault = faults.of(self._process, self.supervised.memory_limit)
        if fault is not None:
            return fault
        if now < self._next_check:
            return None
        self._next_check = now + (next_look(life, now, self.policy) or 0.0) * 0.9
        if self._process.resume_stopped():
            _log.warning("%s was stopped by a signal, and is continued.", self.supervised.name)
        return self.supervised.health(self.record)

    def _end_of_process(self) -> str | None:
        """Return how the process ended, once nothing that it started runs."""
        if self._process is None:
            how = self._start_error or "ended"
        else:
            leader = self._process.ended()
            if leader is None:
                return None
            if self.record.pid is not None:
                # Routing sees the change and sends it no more requests.
                self.record = replace(self.record, pid=None, started=None)
                self._changed()
            if not self._process.sweep():
                return None
            how = leader
        self.supervised.clean()
        return how

    def _enter(self, life: Life) -> None:
        """Record a step, then do what it says."""
        if life.step is Step.STARTING and self.record.life.step is Step.WAITING:
            self._launch(life)
        else:
            self._note_models(life)
            self._write(life)
        if life.step is Step.ENDING and self._process is not None:
            self.supervised.disconnect()  # a server may wait for open connections to close
            self._process.terminate()
        if life.step is Step.GONE:
            self._file.remove()
        self._next_check = 0.0
        self._changed()

    def _note_models(self, life: Life) -> None:
        """Begin to watch the processes of its models, all of which run when it is first ready."""
        program = self.supervised.model_program
        first = life.step is Step.READY and self.record.life.step is Step.STARTING
        if first and self._process is not None and program is not None:
            models = self._process.children(program)
            self._process.watch_models(models)
            self.record = replace(self.record, models=models)

    def _write(self, life: Life) -> None:
        record = self.record.entering(life, _utc_now())
        if life.step not in RUNNING:
            if self.record.life.step in RUNNING:
                last = logs.last_words(self.supervised.log, start=record.log_start)
                record = replace(record, last_log=last)
            record = replace(record, pid=None, started=None, run=None, addresses=(), models=())
        if life.step is not Step.GONE:
            self._file.write(record)
        if life.step not in RUNNING:
            self._drop_process()
        self.record = record

    def _launch(self, life: Life) -> None:
        marker = Marker.new(self._home, self.supervised.name)
        self._start_error = None
        try:
            launch = self.supervised.prepare(marker)
        except ClocheError as error:
            self._start_error = f"could not be started: {error.what.rstrip('.')}"
            self._write(life)
            return
        begun = self.record.entering(life, _utc_now())
        size = logs.size(self.supervised.log)
        record = replace(begun, run=marker.run, addresses=launch.addresses, log_start=size)
        self._file.write(record)
        try:
            self._process = processes.spawn(
                launch.argv, launch.environment, marker=marker, log=self.supervised.log,
                inherited=launch.inherited,
            )  # fmt: skip
        except OSError as error:
            self._start_error = f"could not be started: {error.strerror or error}"
            self.record = record
            return
        # Set only now, so that nobody sees the addresses of a start without its process.
        self.record = replace(record, pid=self._process.pid, started=self._process.started)
        self._file.write(self.record)

    def _wait(self, seconds: float | None) -> None:
        if self.gone or self._closing:
            return
        # After the end the descriptor stays readable: then only wait for the time.
        runs = self._process is not None and self._process.ended() is None
        self._alarm.wait(seconds, self._process.filenos() if runs and self._process else ())

    def _drop_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _disconnect(self) -> None:
        self._drop_process()
        self.supervised.disconnect()
        self._alarm.close()


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
