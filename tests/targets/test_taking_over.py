"""Taking over what an earlier process left running, while the disk or the network fails."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cloche import composition, files
from cloche import settings as machine
from cloche.artifacts import ModelRepository, ReplicaRange, RepositoryMember, encode
from cloche.client import Client
from cloche.environments import uv
from cloche.errors import ClocheError, UnavailableError
from cloche.settings import Settings
from cloche.state.sqlite import SqliteState
from cloche.store import Store
from cloche.targets import Placement
from cloche.targets.local import ports, processes, records
from cloche.targets.local.lifecycle import Life, Policy, Step
from cloche.targets.local.processes import Marker, ServerProcess
from cloche.targets.local.revisions import PlacementRecord
from cloche.targets.local.supervised import Record
from cloche.targets.local.target import LocalTarget
from fixtures.local import end_all

WAITING = "import time\ntime.sleep(600)"
NAME = "digits-r1-0"
REPOSITORY = ModelRepository(
    "digits", "sha256:" + "0" * 64, (), (RepositoryMember("digits", "python", (), (), 0),)
)


@dataclass
class Left:
    """A home in which a replica and a gateway run that an earlier version started."""

    settings: Settings
    replica: ServerProcess
    gateway: ServerProcess

    def target(self) -> LocalTarget:
        store = Store(self.settings.layout.store, 2**30)
        return LocalTarget(
            self.settings,
            store,
            composition.server(),
            policy=Policy(drain_limit=5, end_limit=5),
        )

    def both_run(self) -> bool:
        return all(psutil.pid_exists(one.pid) and one.ended() is None for one in self.servers)

    @property
    def servers(self) -> tuple[ServerProcess, ServerProcess]:
        return self.replica, self.gateway

    @property
    def record(self) -> Path:
        return self.settings.layout.revisions / "digits-r1" / "replicas" / f"{NAME}.json"

    @property
    def placement_record(self) -> Path:
        return self.settings.layout.revisions / "digits-r1" / "wish.json"


def started(settings: Settings, name: str, bound: tuple[int, ...], record: Path) -> ServerProcess:
    marker = Marker.new(settings.home, name)
    process = processes.spawn(
        (sys.executable, "-c", WAITING), {}, marker=marker, log=settings.layout.log(name)
    )
    life = Life(Step.READY, since=time.monotonic(), ready_at=time.monotonic(), was_ready=True)
    now = "2026-11-01T12:00:00.000+00:00"
    kept = Record(
        name,
        processes.boot(),
        life,
        now,
        marker.run,
        process.pid,
        process.started,
        tuple(map(ports.address, bound)),
    )
    records.save(record, kept)
    return process


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Left]:
    """Nothing can be downloaded, and of this version nothing is installed."""

    def no_network(*_arguments: object, **_options: object) -> str:
        raise UnavailableError("environment.network", "There is no network.")

    monkeypatch.setattr(uv, "run", no_network)
    http, grpc, metrics, gateway_port = ports.choose(4)
    settings = Settings(home=tmp_path, gateway_port=gateway_port)
    layout = settings.layout
    made = Left(
        settings,
        started(
            settings, NAME, (http, grpc, metrics),
            layout.revisions / "digits-r1" / "replicas" / f"{NAME}.json",
        ),
        started(settings, "gateway", (gateway_port,), layout.gateway_record()),
    )  # fmt: skip
    placement = Placement("digits", 1, REPOSITORY, ReplicaRange.exactly(1), 60.0)
    records.save(made.placement_record, PlacementRecord(placement))
    yield made
    end_all(tmp_path)
    for server in made.servers:
        server.close()


def test_what_an_earlier_version_left_is_ended_with_no_network(left: Left) -> None:
    target = left.target()
    assert target.gateway().pid == left.gateway.pid
    assert [one.id for one in target.replicas()] == [NAME]
    target.down()
    assert processes.find(left.settings.home) == []
    assert not left.settings.layout.run.exists()
    assert not list(left.settings.layout.servers.glob("*"))


def test_down_with_no_control_plane_needs_no_network(left: Left) -> None:
    SqliteState(left.settings.layout.state).close()
    with Client(environment=machine.variables(left.settings)) as client:
        ended = client.down()
        again = client.down()
    assert ended == {
        "replicas": [{"id": NAME, "pid": left.replica.pid}],
        "gateway": left.gateway.pid,
        "gateway_processes": [left.gateway.pid],
        "control": None,
    }
    assert again == {
        "replicas": [], "gateway": None, "gateway_processes": [], "control": None,
    }  # fmt: skip
    assert processes.find(left.settings.home) == []


def test_a_gateway_that_cannot_be_installed_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_arguments: object, **_options: object) -> str:
        raise UnavailableError("environment.network", "There is no network.")

    monkeypatch.setattr(uv, "run", no_network)
    settings = Settings(home=tmp_path, gateway_port=ports.choose(1)[0])
    target = LocalTarget(settings, Store(settings.layout.store, 2**30), composition.server())
    with pytest.raises(ClocheError) as caught:
        target.start(())
    assert caught.value.code == "gateway.download"
    assert processes.find(tmp_path) == []


def refuse(failing: pytest.MonkeyPatch, refused: Path, number: int) -> None:
    """Have the disk not give a file or a folder."""
    reading = {name: getattr(Path, name) for name in ("read_bytes", "iterdir")}

    def refusing(name: str):
        def call(path: Path):
            if path == refused:
                raise OSError(number, "Input/output error", str(path))
            return reading[name](path)

        return call

    for name in reading:
        failing.setattr(Path, name, refusing(name))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize(
    "unreadable",
    ["record", "placement_record", "gateway_record", "replicas", "routes"],
)
def test_what_cannot_be_read_costs_no_server(
    left: Left, monkeypatch: pytest.MonkeyPatch, unreadable: str, number: int
) -> None:
    files.write_atomically(left.settings.layout.routes, encode({"routes": []}))
    refused = {
        "record": left.record,
        "placement_record": left.placement_record,
        "replicas": left.record.parent,
        "gateway_record": left.settings.layout.gateway_record(),
        "routes": left.settings.layout.routes,
    }[unreadable]
    with monkeypatch.context() as failing:
        refuse(failing, refused, number)
        for attempt, arguments in {
            "start": ((),),
            "down": (),
            "observe": ("digits",),
            "replicas": (),
            "gateway": (),
        }.items():
            with pytest.raises(ClocheError) as caught:
                getattr(left.target(), attempt)(*arguments)
            assert caught.value.code == "target.local.disk", attempt
            assert "Cannot read" in caught.value.what
    assert left.both_run()
    assert left.record.exists()
    assert left.placement_record.exists()
    # Once the disk answers again it is taken over as it was.
    target = left.target()
    assert [one.pid for one in target.replicas()] == [left.replica.pid]
    target.close()
    assert left.both_run()


@pytest.mark.parametrize("kept", ["record", "placement_record"])
def test_what_cannot_be_decoded_is_no_record(left: Left, kept: str) -> None:
    getattr(left, kept).write_bytes(b'{"of": "another version"}')
    target = left.target()
    assert target.replicas() == ()
    target.close()
    assert left.replica.ended() is not None
    assert left.gateway.ended() is None
