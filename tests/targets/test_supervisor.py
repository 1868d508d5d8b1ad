import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cloche.errors import ClocheError
from cloche.targets import ReplicaPhase
from cloche.targets.local import processes, records
from cloche.targets.local.lifecycle import Health, Life, Policy, Step
from cloche.targets.local.processes import MarkedProcess, Marker
from cloche.targets.local.supervised import Launch, Record
from cloche.targets.local.supervisor import Supervisor
from fixtures.local import until

SERVING = "import time\nprint('up', flush=True)\ntime.sleep(600)"
POLICY = Policy(
    first_delay=0.02,
    longest_delay=0.1,
    attempts=4,
    start_limit=20.0,
    unready_limit=0.2,
    drain_limit=5.0,
    end_limit=0.3,
    check_every=0.05,
    start_check_every=0.01,
)
ADDRESSES = ("127.0.0.1:1", "127.0.0.1:2")


class ScriptServer:
    """A server that is a Python script, and whose health is a variable."""

    name = "m-r1-0"
    model_program: str | None = None
    memory_limit: int | None = None

    def __init__(self, home: Path, code: str = SERVING) -> None:
        self.log = home / "logs" / f"{self.name}.log"
        self.code = code
        self.up = True
        self.given: Health | None = None
        self.ready_when: str | None = None
        """A word that its log has once it is ready."""
        self.empty = True
        self.refused: ClocheError | None = None
        self.prepared = self.cleaned = 0

    def prepare(self, marker: Marker) -> Launch:
        self.prepared += 1
        if self.refused:
            raise self.refused
        return Launch((sys.executable, "-c", self.code), {"LANG": "C.UTF-8"}, ADDRESSES)

    def health(self, record: Record) -> Health:
        if self.given is not None:
            return self.given
        said = self.ready_when is None or self.ready_when in self.log.read_text().split()
        return Health(ready=self.up and said and record.pid is not None)

    def drained(self, record: Record) -> bool:
        return self.empty

    def clean(self) -> None:
        self.cleaned += 1

    def disconnect(self) -> None: ...


class Keeper:
    """Makes supervisors of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "run" / "m-r1-0.json"
        self.made: list[Supervisor] = []
        self.phases: list[ReplicaPhase] = []
        """Those that a supervisor told of, one after the other."""

    def make(self, supervised: ScriptServer, policy: Policy = POLICY) -> Supervisor:
        supervisor = Supervisor(
            supervised,
            self.path,
            home=self.home,
            policy=policy,
            changed=lambda: self.phases.append(phase(supervisor)),
        )
        self.made.append(supervisor)
        return supervisor

    def start(self, supervised: ScriptServer, policy: Policy = POLICY) -> Supervisor:
        supervisor = self.make(supervised, policy)
        supervisor.start()
        return supervisor

    def resume(self, supervised: ScriptServer) -> Supervisor:
        record = records.load(self.path, Record)
        assert record is not None
        supervisor = self.make(supervised)
        supervisor.resume(record, self.leader(record.run))
        supervisor.start()
        return supervisor

    def leader(self, run: str | None) -> MarkedProcess | None:
        return next((one for one in processes.find(self.home) if one.marker.run == run), None)


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    yield keeper
    for supervisor in keeper.made:
        supervisor.close()
        supervisor.join(10)
    processes.end_strays(tmp_path, kept=())
    assert processes.find(tmp_path) == []
    children = psutil.Process().children()
    assert [one for one in children if one.status() == psutil.STATUS_ZOMBIE] == []


def phase(supervisor: Supervisor) -> ReplicaPhase:
    return supervisor.record.life.phase


def kill(supervisor: Supervisor) -> int:
    pid = supervisor.record.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_killed_server_is_started_again_and_counted(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    pid = kill(supervisor)
    until(lambda: supervisor.record.pid not in {pid, None})
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert supervisor.record.life.restarts == 1
    assert (supervised.prepared, supervised.cleaned) == (2, 1)
    assert len(processes.find(keeper.home)) == 1


def test_a_crash_loop_ends_in_failed_with_the_last_words(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home, "print('no such model'); raise SystemExit(7)")
    supervised.up = False
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.FAILED)
    record = supervisor.record
    assert supervised.prepared == POLICY.first_attempts
    assert record.last_log == ("no such model",)
    assert record.life.detail == "It ended with exit code 7. That was the third time in a row."
    assert record.pid is None
    on_disk = records.load(keeper.path, Record)
    assert on_disk == record


def test_a_server_that_never_comes_up_fails_and_is_ended(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervised.up = False
    supervisor = keeper.start(supervised, replace(POLICY, start_limit=0.3))
    until(lambda: supervisor.record.life.step is Step.FAILED)
    assert "not ready within" in (supervisor.record.life.detail or "")
    assert processes.find(keeper.home) == []


def test_a_server_that_stops_answering_is_unready_and_then_started_again(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervisor = keeper.start(supervised, replace(POLICY, unready_limit=0.5))
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    first = supervisor.record.pid
    supervised.up = False
    until(lambda: phase(supervisor) is ReplicaPhase.UNREADY)
    assert supervisor.record.pid == first
    until(lambda: ReplicaPhase.RESTARTING in keeper.phases)
    supervised.up = True
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert supervisor.record.pid != first


WITH_A_CHILD = """
import os, signal, time
if os.fork() == 0:
    with open("/proc/self/comm", "w") as name:
        name.write("a-model-process")
    print("up", flush=True)  # only now has it its name
    signal.pause()
time.sleep(600)
"""


def models(supervisor: Supervisor) -> list[int]:
    return [pid for pid, _ in supervisor.record.models]


def with_a_model(keeper: Keeper) -> Supervisor:
    supervised = ScriptServer(keeper.home, WITH_A_CHILD)
    supervised.model_program = "a-model-process-of-a-longer-name"
    supervised.ready_when = "up"
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert len(models(supervisor)) == 1
    return supervisor


def test_a_server_whose_model_died_is_replaced_though_it_says_that_it_is_ready(
    keeper: Keeper,
) -> None:
    supervisor = with_a_model(keeper)
    first, (model,) = supervisor.record.pid, models(supervisor)
    os.kill(model, signal.SIGKILL)
    until(lambda: supervisor.record.life.restarts == 1)
    assert supervisor.record.life.detail == f"A process of its model ended by itself (pid {model})."
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert supervisor.record.pid != first
    assert models(supervisor) != [model]


def test_the_next_supervisor_knows_of_a_model_that_died_meanwhile(keeper: Keeper) -> None:
    first = with_a_model(keeper)
    first.close()
    first.join(5)
    os.kill(models(first)[0], signal.SIGKILL)
    second = keeper.resume(first.supervised)
    until(lambda: second.record.life.restarts == 1)


@pytest.mark.parametrize("which", ["the server", "its model"])
def test_what_a_signal_stopped_is_continued(keeper: Keeper, which: str) -> None:
    supervisor = with_a_model(keeper)
    pid = supervisor.record.pid if which == "the server" else models(supervisor)[0]
    assert pid is not None
    process = psutil.Process(pid)
    process.suspend()
    until(lambda: process.status() != psutil.STATUS_STOPPED)
    assert supervisor.record.life.restarts == 0


def test_a_server_is_degraded_while_it_is_ready_and_something_is_wrong(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    told = len(keeper.phases)
    supervised.given = Health(ready=True, why="It answers wrongly.")
    until(lambda: supervisor.record.life.detail == "It answers wrongly.")
    until(lambda: len(keeper.phases) > told)
    assert phase(supervisor) is ReplicaPhase.READY
    assert supervisor.record.unready_since is None


def test_a_record_tells_since_when_a_server_is_not_ready(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    supervised.up, supervised.code = False, "raise SystemExit(7)"
    kill(supervisor)
    until(lambda: supervisor.record.life.restarts > 0)
    since = supervisor.record.unready_since
    until(lambda: phase(supervisor) is ReplicaPhase.FAILED)
    assert since is not None
    assert supervisor.record.unready_since == since


def test_what_was_given_up_is_started_when_somebody_asks_again(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home, "raise SystemExit(7)")
    supervised.up = False
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.FAILED)
    supervised.code, supervised.up = SERVING, True
    supervisor.retry()
    until(lambda: phase(supervisor) is ReplicaPhase.READY)


def test_stopping_drains_then_ends_then_kills_and_forgets(keeper: Keeper) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVING
    supervised = ScriptServer(keeper.home, stubborn)
    supervised.empty = False
    supervisor = keeper.start(supervised)
    until(lambda: supervised.log.exists() and supervised.log.read_text() == "up\n")
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    supervisor.stop()
    until(lambda: supervisor.record.life.step is Step.DRAINING)
    assert len(processes.find(keeper.home)) == 1
    supervised.empty = True
    until(lambda: supervisor.gone)
    supervisor.join(5)
    assert supervised.cleaned == 1
    assert not keeper.path.exists()
    assert processes.find(keeper.home) == []


def test_what_cannot_be_prepared_fails_with_its_reason(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervised.refused = ClocheError("server.triton.install", "Triton is not installed.")
    supervisor = keeper.start(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.FAILED)
    assert supervisor.record.life.detail == (
        "It could not be started: Triton is not installed. That was the third time in a row."
    )


def test_a_program_that_cannot_be_run_fails_with_its_reason(keeper: Keeper) -> None:
    class Missing(ScriptServer):
        def prepare(self, marker: Marker) -> Launch:
            return Launch(("/no/such/program",), {})

    supervisor = keeper.start(Missing(keeper.home))
    until(lambda: phase(supervisor) is ReplicaPhase.FAILED)
    assert "No such file or directory" in (supervisor.record.life.detail or "")


def test_a_taken_port_is_no_crash(keeper: Keeper) -> None:
    supervised = ScriptServer(
        keeper.home, "print('bind: Address already in use'); raise SystemExit(1)"
    )
    supervised.up = False
    supervisor = keeper.start(supervised)
    until(lambda: supervised.prepared > POLICY.first_attempts)
    supervised.code = SERVING
    until(lambda: supervised.log.exists() and "up" in supervised.log.read_text())
    supervised.up = True
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert supervisor.record.life.restarts == 0


def test_a_closed_supervisor_leaves_its_server_to_the_next_one(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    first = keeper.start(supervised)
    until(lambda: phase(first) is ReplicaPhase.READY)
    first.close()
    first.join(5)
    second = keeper.resume(supervised)
    assert (phase(second), second.record.pid) == (ReplicaPhase.READY, first.record.pid)
    assert second.record.addresses == ADDRESSES
    kill(second)
    until(lambda: second.record.life.restarts == 1 and phase(second) is ReplicaPhase.READY)
    assert len(processes.find(keeper.home)) == 1


def test_a_server_that_was_started_but_not_recorded_is_adopted(keeper: Keeper) -> None:
    """The one before was killed between starting the server and writing down its pid."""
    supervised = ScriptServer(keeper.home)
    marker = Marker.new(keeper.home, supervised.name)
    launch = supervised.prepare(marker)
    started = processes.spawn(launch.argv, launch.environment, marker=marker, log=supervised.log)
    started.close()
    until(lambda: keeper.leader(marker.run) is not None)
    life = Life(Step.STARTING)
    record = Record(supervised.name, processes.boot(), life, "", run=marker.run)
    records.save(keeper.path, record)
    supervisor = keeper.resume(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert supervisor.record.pid == started.pid
    assert supervised.prepared == 1


@pytest.mark.parametrize(
    "record",
    [
        Record("m-r1-0", processes.boot(), Life(Step.STARTING), "", run="0" * 32),
        Record("m-r1-0", "another boot", Life(Step.READY, restarts=3), "", run="0", pid=1),
        Record("m-r1-0", "another boot", Life(Step.FAILED), ""),
    ],
    ids=["written down but never started", "of another boot", "failed in another boot"],
)
def test_what_never_ran_in_this_boot_starts_afresh(keeper: Keeper, record: Record) -> None:
    supervised = ScriptServer(keeper.home)
    records.save(keeper.path, record)
    supervisor = keeper.resume(supervised)
    until(lambda: phase(supervisor) is ReplicaPhase.READY)
    assert (supervisor.record.life.restarts, supervised.prepared) == (0, 1)


def test_what_ended_unseen_counts_as_an_end(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    first = keeper.start(supervised)
    until(lambda: phase(first) is ReplicaPhase.READY)
    first.close()
    first.join(5)
    kill(first)
    second = keeper.resume(supervised)
    until(lambda: second.record.life.restarts == 1 and phase(second) is ReplicaPhase.READY)


def test_without_room_for_its_record_nothing_is_started(keeper: Keeper) -> None:
    supervised = ScriptServer(keeper.home)
    supervisor = keeper.make(supervised)
    keeper.path.parent.mkdir()
    keeper.path.mkdir()  # stands for a disk that takes no more
    with pytest.raises(ClocheError, match=r"Cannot write m-r1-0\.json"):
        supervisor.start()
    assert supervised.prepared == 0


def test_times_have_the_form_of_all_other_times(tmp_path: Path) -> None:
    supervisor = Supervisor(
        ScriptServer(tmp_path), tmp_path / "m.json", home=tmp_path, policy=POLICY,
        changed=lambda: None,
    )  # fmt: skip
    assert supervisor.record.phase_since.endswith("+00:00")
    supervisor.close()


HOARDING = """
import subprocess, sys, time
held = bytearray(b"x") * (100 * 2**20) if sys.argv[1:] else None
print("up", flush=True)
if not held:
    subprocess.Popen([sys.executable, __file__, "child"])
time.sleep(600)
"""


def test_what_has_too_much_memory_is_ended_and_started_again(
    keeper: Keeper, tmp_path: Path
) -> None:
    script = tmp_path / "hoarding.py"
    script.write_text(HOARDING)
    supervised = ScriptServer(tmp_path, f"import runpy; runpy.run_path({str(script)!r})")
    supervised.memory_limit = 64 * 2**20
    supervisor = keeper.start(supervised)
    detail: str | None = None

    def was_ended() -> bool:
        nonlocal detail
        life = supervisor.record.life
        detail = life.detail  # none again while the next one is up, until it has too much as well
        return life.restarts >= 1 and detail is not None

    until(was_ended)
    assert detail is not None
    assert detail.startswith("It had ")
    assert detail.endswith(" MiB of memory; `resources.memory` allows 64.0 MiB.")
    supervised.memory_limit = 2**30
    supervisor.retry()
    until(lambda: phase(supervisor) is ReplicaPhase.READY)


@pytest.mark.parametrize(
    ("step", "pid", "shown"),
    [
        (Step.READY, 7, ReplicaPhase.READY),
        (Step.READY, None, ReplicaPhase.RESTARTING),
        (Step.STARTING, 7, ReplicaPhase.STARTING),
    ],
)
def test_what_has_just_ended_is_not_shown_ready(
    step: Step, pid: int | None, shown: ReplicaPhase
) -> None:
    life = Life(step, was_ready=step is Step.READY)
    assert Record("gateway", "boot", life, "", pid=pid).phase is shown
