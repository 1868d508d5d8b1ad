"""The replicas of one revision, and the folder that they share.

run/revisions/NAME-r3/wish.json              what should run
run/revisions/NAME-r3/serving/               what Triton is pointed at
run/revisions/NAME-r3/replicas/NAME-r3-0.json    one record per replica
"""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.targets import Placement, Replica, ReplicaPhase
from cloche.targets.local import logs, records
from cloche.targets.local.health.replica_health import Watching
from cloche.targets.local.joining import Placed
from cloche.targets.local.replica import ReplicaProcess, describe, url_of
from cloche.targets.local.supervised import Record
from cloche.targets.local.supervisor import Supervisor
from cloche.targets.replacing import Staying, Step, next_step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.targets.local.context import HomeContext
    from cloche.targets.local.lifecycle import Policy
    from cloche.targets.local.processes import MarkedProcess

SERVING = "serving"
_PLACEMENT = "wish.json"
_REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class PlacementRecord:
    """What a target was told of a revision, stored on disk."""

    placement: Placement
    removed: bool = False


class RevisionRunner:
    """Runs one revision: starts and stops replicas until it has the wanted number."""

    def __init__(self, placement: Placement, context: HomeContext) -> None:
        self.placement = placement
        self.removed = False
        self._context = context
        self._name = f"{placement.service}-r{placement.revision}"
        self.folder = context.folder / self._name
        self._supervisors: dict[str, Supervisor] = {}
        self._leaving: set[str] = set()
        """Replicas that are about to leave the traffic."""
        self._lock = threading.RLock()

    @staticmethod
    def restore(folder: Path, context: HomeContext) -> RevisionRunner | None:
        """Return the revision of a folder; None if the folder has no record of one."""
        placement_record = records.load(folder / _PLACEMENT, PlacementRecord)
        if placement_record is None:
            return None
        runner = RevisionRunner(placement_record.placement, context)
        if runner.folder != folder:
            return None
        runner.removed = placement_record.removed
        return runner

    def adopt(self, leaders: Mapping[str, MarkedProcess]) -> set[tuple[str, str]]:
        """Take over the recorded replicas; return the names and runs of the running ones.

        `leaders` has the running servers by their run.
        """
        kept = set()
        for path in records.entries(self.folder / _REPLICAS):
            record = records.load(path, Record) if path.suffix == ".json" else None
            if record is None or record.name != path.stem:
                path.unlink(missing_ok=True)
                continue
            process = leaders.get(record.run or "")
            if process is not None and process.marker.name == record.name and record.addresses:
                kept.add((record.name, process.marker.run))
                self._context.software.keep(record)
            else:
                process = None
            supervisor = self._supervisor(record.name)
            supervisor.resume(record, process)
            self._supervisors[record.name] = supervisor
        return kept

    def start(self) -> None:
        """Begin to supervise the adopted replicas, and start missing ones."""
        with self._lock:
            for supervisor in self._supervisors.values():
                if self.removed:
                    supervisor.stop()
                supervisor.start()
            self._converge()
        self._tidy()

    def place(self, placement: Placement) -> None:
        """Run the replicas of a placement; raises ClocheError if that cannot begin."""
        serving = self.folder / SERVING
        with self._lock:
            if not serving.exists():
                self._context.software.lay_out(placement, serving)
            if placement != self.placement or self.removed or not self._placement_record.exists():
                self._record(PlacementRecord(placement))
            before, self.placement, self.removed = self.placement, placement, False
            for supervisor in self._supervisors.values():
                supervisor.policy = self._policy
            self._converge()
            if _asks_again(before, placement):
                self._retry()

    def _retry(self) -> None:
        """Start at once what waits to be started again, or was given up."""
        for supervisor in self._supervisors.values():
            supervisor.retry()

    def remove(self) -> None:
        """Drain and stop all replicas, then forget the revision."""
        with self._lock:
            if not self.removed:
                # Where it cannot be written, whoever takes over is told again what is wanted.
                with suppress(ClocheError):
                    self._record(PlacementRecord(self.placement, removed=True))
                self.removed = True
            for supervisor in self._supervisors.values():
                supervisor.stop()
        self._tidy()

    def _record(self, value: PlacementRecord) -> None:
        records.save(self._placement_record, value, reserve=self._context.reserve)

    def close(self) -> None:
        """Stop supervising the replicas, which run on; `join` waits until that is done."""
        for supervisor in self._all():
            supervisor.close()

    def join(self, deadline: float) -> None:
        """Wait, after `remove` or `close`, until `deadline` (of time.monotonic) at most."""
        for supervisor in self._all():
            supervisor.join(max(0.0, deadline - time.monotonic()))

    def next_step(self, placement: Placement) -> Step:
        """Return which replicas a placement would start and stop now."""
        supervisors = [each for each in self._all() if not each.stopping]
        supervisors.sort(key=lambda each: _index(each.supervised.name))
        staying = [self._staying(each, placement) for each in supervisors]
        return next_step(staying, placement.replicas.minimum)

    def doubt(self, url: str, why: str) -> None:
        """Have the replica at a base URL asked its golden request: it answered wrongly before."""
        for supervisor in self._all():
            replica = supervisor.supervised
            if isinstance(replica, ReplicaProcess) and url_of(supervisor.record) == url:
                replica.doubt(why)
                supervisor.wake()

    def placed(self) -> Placed:
        """Return the placement and the records of its replicas, for routing."""
        return Placed(self.placement, self._records(), self._context.software.as_streams)

    def replicas(self) -> tuple[Replica, ...]:
        """Return the replicas as a target shows them."""
        runtime = self._context.software.runtime(self.placement)
        return tuple(describe(self.placement, record, runtime) for record in self._records())

    @property
    def finished(self) -> bool:
        """Return whether nothing of the revision is left: it was removed, or never began."""
        with self._lock:
            return not self._supervisors and (self.removed or not self._placement_record.exists())

    @property
    def _policy(self) -> Policy:
        policy = replace(self._context.policy, start_limit=self.placement.start_limit)
        # What served is started again for as long as it is wanted.
        return replace(policy, endless=True) if self.placement.proven else policy

    @property
    def _placement_record(self) -> Path:
        return self.folder / _PLACEMENT

    def _all(self) -> list[Supervisor]:
        with self._lock:
            return [self._supervisors[name] for name in sorted(self._supervisors)]

    def _records(self) -> tuple[Record, ...]:
        """Return the records of the replicas that are not gone."""
        return tuple(supervisor.record for supervisor in self._all() if not supervisor.gone)

    def _converge(self) -> None:
        """Start missing replicas, stop surplus ones, and replace those of before a restart."""
        if self.removed:
            return
        step = self.next_step(self.placement)
        for name in step.stop:
            self._supervisors[name].stop()
        for _ in range(step.start):
            self._add()

    def _staying(self, supervisor: Supervisor, placement: Placement) -> Staying:
        record = supervisor.record
        ready = record.life.phase is ReplicaPhase.READY
        answers = ready and self._context.offered(record)
        outdated = placement.restarted_at not in {None, record.restarted_at}
        return Staying(supervisor.supervised.name, ready, answers, outdated)

    def _add(self) -> None:
        used = {_index(name) for name in self._supervisors}
        index = next(number for number in range(len(used) + 1) if number not in used)
        name = f"{self._name}-{index}"
        supervisor = self._supervisor(name)
        logs.remove(supervisor.supervised.log)  # left by an earlier service of the same name
        supervisor.start()
        self._supervisors[name] = supervisor

    def _supervisor(self, name: str) -> Supervisor:
        context = self._context
        supervised = ReplicaProcess(
            name,
            self.placement,
            serving=self.folder / SERVING,
            log=context.log(name),
            software=context.software,
            drained=context.drained,
            watching=Watching(
                others=partial(self._can_spare, name),
                request_limit=lambda: self.placement.request_limit or context.request_limit,
                probe=lambda: self.placement.probe,
            ),
        )
        return Supervisor(
            supervised,
            self.folder / _REPLICAS / f"{name}.json",
            home=context.home,
            policy=self._policy,
            changed=self._replica_changed,
            restarted_at=self.placement.restarted_at,
        )

    def _can_spare(self, name: str) -> bool:
        """Return whether a replica may leave the traffic: another one is ready, and stays.

        Whoever is told so leaves, and no other one may rely on it from then on.
        """
        with self._lock:
            ready = {
                each.supervised.name
                for each in self._supervisors.values()
                if each.record.life.phase is ReplicaPhase.READY and not each.stopping
            }
            self._leaving &= ready
            if not ready - self._leaving - {name}:
                return False
            self._leaving.add(name)
            return True

    def _replica_changed(self) -> None:
        self._tidy()
        self._context.changed()

    def _tidy(self) -> None:
        """Forget replicas that are gone; after the last one of a removed revision, its folder."""
        with self._lock:
            for name, supervisor in list(self._supervisors.items()):
                if supervisor.gone:
                    del self._supervisors[name]
            if self.removed and not self._supervisors:
                shutil.rmtree(self.folder, ignore_errors=True)


def _asks_again(before: Placement, after: Placement) -> bool:
    """Return whether what waits, or was given up, is to be started at once."""
    asked = after.retried_at is not None and after.retried_at != before.retried_at
    return asked or (after.proven and not before.proven)


def _index(name: str) -> int:
    return int(name.rpartition("-")[2])
