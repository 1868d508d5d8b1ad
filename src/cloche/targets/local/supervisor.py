"""Keeps one server running: a thread that looks, decides with `lifecycle`, and acts.

The thread sleeps until its server ends (pidfd), `wake` is called (eventfd) or the next look is due:
every 25 ms while a server starts, every two seconds while it is ready. Each decision is recorded
before it is acted on, so that a supervisor in another process can continue from it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.targets.local import logs, ports, processes, records
from cloche.targets.local.lifecycle import (
    RUNNING,
    After,
    Life,
    Policy,
    Seen,
    Step,
    advance,
    next_look,
)
from cloche.targets.local.processes import MarkedProcess, Marker, ServerProcess
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
        self._path = path
        self._home = home
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
        self._closing = False
        self._wake_lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(
            target=self._run, name=f"keep-{supervised.name}", daemon=True
        )

    def resume(self, record: Record, running: MarkedProcess | None) -> None:
        """Take over from an earlier supervisor; `running` is the server if it still runs."""
        life = record.life
        if record.boot != processes.boot():
            life = Life(after=life.after, since=self._clock(), due=self._clock())
            record = replace(record, boot=processes.boot(), life=life, pid=None)
        if running is not None:
            record = replace(record, pid=running.pid, started=running.started)
        if record.pid is not None and record.started is not None:
            marker = Marker(self._home, record.name, record.run or "")
            self._process = processes.adopt(record.pid, record.started, marker)
            if self._process is None:
                record = replace(record, pid=None, started=None)
        elif life.step is Step.STARTING and record.pid is None:
            # Recorded, but never started: there is no process whose end could count.
            life = replace(life, step=Step.WAITING, due=self._clock())
            record = replace(record, life=life)
        self.record = record

    def start(self) -> None:
        """Write the record and start the thread; raises ClocheError if it cannot be written."""
        try:
            records.save(self._path, self.record)
        except ClocheError:
            self._disconnect()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Begin to drain, end and clean up the server; `record` shows how far that is."""
        self._stop = True
        self.wake()

    def wake(self) -> None:
        """Look now."""
        with self._wake_lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

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
        return next_look(self.record.life, self._clock(), self.policy)

    def _turn(self) -> None:
        now = self._clock()
        life = self.record.life
        seen = self._look(life, now)
        logs.bound(self.supervised.log)
        after = advance(life, seen, now, self.policy, random.random())  # noqa: S311
        if after.step is not life.step or after.after is not life.after:
            self._enter(after)
        elif after != life:
            self.record = replace(self.record, life=after)

    def _look(self, life: Life, now: float) -> Seen:
        if life.step not in RUNNING:
            return Seen(stop=self._stop)
        if life.step is Step.KILLING and self._process is not None:
            self._process.sweep()
        ended = self._end_of_process()
        if ended is not None:
            lines = logs.last_words(self.supervised.log, start=self.record.log_start)
            return Seen(ended=ended, collided=ports.collided(lines), stop=self._stop)
        if life.step is Step.DRAINING:
            return Seen(drained=self.supervised.drained(self.record), stop=self._stop)
        healthy = None
        checked = life.step in {Step.STARTING, Step.READY, Step.UNREADY}
        if checked and not self._stop and now >= self._next_check:
            healthy = self.supervised.healthy(self.record)
            self._next_check = now + (next_look(life, now, self.policy) or 0.0) * 0.9
        return Seen(healthy=healthy, stop=self._stop)

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
            self._write(life)
        if life.step is Step.ENDING and self._process is not None:
            self.supervised.disconnect()  # a server may wait for open connections to close
            self._process.terminate()
        if life.step is Step.GONE:
            self._path.unlink(missing_ok=True)
        self._next_check = 0.0
        self._changed()

    def _write(self, life: Life) -> None:
        record = replace(self.record, life=life, phase_since=self._phase_since(life))
        if life.step not in RUNNING:
            if self.record.life.step in RUNNING:
                last = logs.last_words(self.supervised.log, start=record.log_start)
                record = replace(record, last_log=last)
            record = replace(record, pid=None, started=None, run=None, ports=())
        if life.step is not Step.GONE:
            records.save(self._path, record)
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
        record = replace(
            self.record,
            life=life,
            phase_since=self._phase_since(life),
            run=marker.run,
            ports=launch.ports,
            log_start=logs.size(self.supervised.log),
        )
        records.save(self._path, record)
        try:
            self._process = processes.spawn(
                launch.argv, launch.environment, marker=marker, log=self.supervised.log
            )
        except OSError as error:
            self._start_error = f"could not be started: {error.strerror or error}"
            self.record = record
            return
        # Set only now, so that nobody sees the ports of a start without its process.
        self.record = replace(record, pid=self._process.pid, started=self._process.started)
        records.save(self._path, self.record)

    def _phase_since(self, life: Life) -> str:
        return self.record.phase_since if life.phase is self.record.life.phase else _utc_now()

    def _wait(self, seconds: float | None) -> None:
        if self.gone or self._closing:
            return
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        # After the end the descriptor stays readable: then only wait for the time.
        if self._process is not None and self._process.ended() is None:
            poll.register(self._process.fileno(), select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _drop_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _disconnect(self) -> None:
        self._drop_process()
        self.supervised.disconnect()
        # Under the lock: a closed descriptor's number may be reused at once.
        with self._wake_lock:
            if self._wake >= 0:
                os.close(self._wake)
                self._wake = -1


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
