"""What every server keeps: one suite, each kind of server, started for real."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from cloche import composition, pipeline
from cloche.artifacts import ModelRepository
from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import decode, encode
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.servers import ServerAddresses, WireProtocol
from cloche.spec import ServiceSpec
from cloche.store import Store
from fixtures.asking import client_at
from fixtures.cache import cache_folder
from fixtures.local import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.servers import InstalledServer, Server

MODEL = "suite-model"
X = np.array([[1, 2, 3, 4]], np.float32)

START_LIMIT = 120.0


@dataclass
class Replica:
    """A running server with one model, which doubles its input `x`."""

    process: subprocess.Popen[bytes]
    addresses: ServerAddresses
    serving: Path
    log: Path

    @property
    def url(self) -> str:
        address = self.addresses.http
        return address if address.startswith("unix:") else f"http://{address}"

    def ready(self, server: Server) -> bool:
        try:
            return all(
                get(self.addresses.http, path).status_code == 200
                for path in server.ready_paths([MODEL])
            )
        except httpx.TransportError:
            return False


def get(address: str, path: str) -> httpx.Response:
    """Return the answer of a server at an address to a GET."""
    base = address if address.startswith("unix:") else f"http://{address}"
    if base == address and not Path(address.removeprefix("unix:")).is_socket():
        raise httpx.ConnectError("no socket yet")  # httpx leaves its own one open then
    with client_at(base) as client:
        return client.get(path)


@pytest.fixture(params=sorted(composition.servers()), scope="module")
def server(request: pytest.FixtureRequest) -> Server:
    return composition.servers()[request.param]


@pytest.fixture(scope="module")
def installed(server: Server) -> InstalledServer:
    try:
        return server.install(cache_folder() / "servers")
    except ClocheError as error:
        pytest.skip(f"needs the packages of {server.name}: {error.what} {error.hint or ''}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def repository(store: Store, tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "g",
        [value("x", TensorProto.FLOAT, ["batch", 4])],
        [value("y", TensorProto.FLOAT, ["batch", 4])],
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    path = folder / "model.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    snapshot = pipeline.resolve(
        str(path), directory=folder, store=store, progress=SilentProgress(), environment={}
    )
    facts = pipeline.facts(snapshot, store)
    return pipeline.build(MODEL, snapshot, facts, None, ServiceSpec(model=str(path)), store)


def lay_out(
    installed: InstalledServer, store: Store, repository: ModelRepository, folder: Path
) -> Path:
    return installed.lay_out(
        folder / "serving", store.tree_path(repository.digest), models=repository.models,
        environment=None,
    )  # fmt: skip


def free_addresses() -> ServerAddresses:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return ServerAddresses(*(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets))


@contextmanager
def started(
    server: Server,
    installed: InstalledServer,
    serving: Path,
    addresses: ServerAddresses | None = None,
) -> Iterator[Replica]:
    """Start a server on a serving folder; whatever is left of it is ended."""
    log, addresses = serving.parent / "log", addresses or free_addresses()
    command = installed.command(serving, addresses, identity="suite-r1-0")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.argv, env=command.env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Replica(process, addresses, serving, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        server.clean(serving, "suite-r1-0")


def wait_until_ready(replica: Replica, server: Server) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not replica.ready(server):
        if replica.process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"it did not come up:\n{replica.log.read_text()[-4000:]}")
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["ports", "sockets"])
def replica(  # noqa: PLR0917 - fixtures
    request: pytest.FixtureRequest,
    server: Server,
    installed: InstalledServer,
    store: Store,
    repository: ModelRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Replica]:
    """Run a replica, at ports and at sockets."""
    folder = tmp_path_factory.mktemp("running")
    serving = lay_out(installed, store, repository, folder)
    on_sockets = request.param == "sockets"
    addresses = installed.sockets(folder, "one") if on_sockets else free_addresses()
    with started(server, installed, serving, addresses) as running:
        wait_until_ready(running, server)
        yield running


def test_it_says_what_it_is(server: Server) -> None:
    assert composition.servers()[server.name].name == server.name
    assert server.release in server.image
    assert server.protocols
    assert 0 < server.exit_limit < START_LIMIT


def test_it_is_installed_once(server: Server, installed: InstalledServer, tmp_path: Path) -> None:
    root = cache_folder() / "servers"
    assert server.installed(root)
    assert not server.installed(tmp_path)
    assert server.install(root).executable == installed.executable
    assert installed.executable.is_file()
    assert installed.interpreter.is_file()
    assert not any(installed.executable.is_relative_to(old) for old in server.outdated(root))


def test_what_it_is_pointed_at_has_the_bytes_of_the_repository(
    installed: InstalledServer, store: Store, repository: ModelRepository, tmp_path: Path
) -> None:
    for _ in range(2):  # an older folder is replaced
        serving = lay_out(installed, store, repository, tmp_path)
    for file in repository.files:
        (found,) = serving.rglob(file.path)
        assert found.read_bytes() == store.read(file.digest)
    assert [path.name for path in tmp_path.iterdir()] == ["serving"]


def test_a_model_that_is_not_there_leaves_nothing(
    installed: InstalledServer, store: Store, repository: ModelRepository, tmp_path: Path
) -> None:
    with pytest.raises(ClocheError) as caught:
        installed.lay_out(
            tmp_path / "serving", store.tree_path(repository.digest), models=["other"],
            environment=None,
        )  # fmt: skip
    assert caught.value.code.startswith("server.")
    assert list(tmp_path.iterdir()) == []


def test_the_command_has_no_secret_and_keeps_to_its_addresses(
    installed: InstalledServer, tmp_path: Path
) -> None:
    addresses = ServerAddresses("127.0.0.1:18001", "127.0.0.1:18002", "127.0.0.1:18003")
    given = {"HOME": "/home/u", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "LD_PRELOAD": "/evil.so"}
    command = installed.command(
        tmp_path / "serving", addresses, identity="x-r1-0", environment=given
    )
    words = " ".join(command.argv)
    assert Path(command.argv[0]) == installed.executable
    assert all(port in words for port in ("18001", "18002", "18003"))
    assert "s3cr3t" not in words + str(command.env)
    assert "LD_PRELOAD" not in command.env


def test_it_listens_where_it_was_told_and_nowhere_else(replica: Replica) -> None:
    process = psutil.Process(replica.process.pid)
    addresses = astuple(replica.addresses)
    if replica.url.startswith("unix:"):
        paths = {connection.laddr for connection in process.net_connections("unix")}
        assert {each.removeprefix("unix:") for each in addresses} <= paths
        addresses = ()
    # Triton opens the address of its metrics after it answers that it is ready, and Linux shows its
    # sockets in pieces: others that come and go can hide one.
    until(lambda: _listening(process) == set(addresses), 30)


def _listening(process: psutil.Process) -> set[str]:
    """Return the TCP addresses where a process listens."""
    return {
        f"{connection.laddr.ip.removeprefix('::ffff:')}:{connection.laddr.port}"
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def test_it_speaks_http(server: Server, replica: Replica) -> None:
    if WireProtocol.KSERVE_HTTP not in server.protocols:
        pytest.skip("it speaks another protocol")
    body, length = encode({"x": X}, binary=True)
    with InferenceClient(replica.url) as client:
        answer = client.infer(MODEL, body, length)
    np.testing.assert_array_equal(decode(answer.body, answer.header_length)["y"], 2 * X)


def test_it_speaks_grpc(server: Server, replica: Replica) -> None:
    if WireProtocol.KSERVE_GRPC not in server.protocols:
        pytest.skip("it speaks another protocol")
    from tritonclient import grpc

    tensor = grpc.InferInput("x", X.shape, "FP32")
    tensor.set_data_from_numpy(X)
    with grpc.InferenceServerClient(replica.addresses.grpc) as client:
        answer = client.infer(MODEL, [tensor])
    np.testing.assert_array_equal(answer.as_numpy("y"), 2 * X)


def test_a_model_that_it_does_not_have_is_never_ready(server: Server, replica: Replica) -> None:
    for path in server.ready_paths(["another"]):
        assert get(replica.addresses.http, path).status_code != 200


def test_it_counts_by_model_under_the_names_it_gives(server: Server, replica: Replica) -> None:
    names = server.metrics

    def counted(name: str) -> float:
        lines = get(replica.addresses.metrics, "/metrics").text.splitlines()
        of_model = [
            one for one in lines if one.startswith(f"{name}{{") and f'model="{MODEL}"' in one
        ]
        assert of_model
        return sum(float(line.rpartition(" ")[2]) for line in of_model)

    before = counted(names.successes)
    body, length = encode({"x": X}, binary=True)
    with InferenceClient(replica.url) as client:
        client.infer(MODEL, body, length)
        with pytest.raises(ClocheError):
            client.infer(MODEL, b"{}")
    assert counted(names.successes) == before + 1
    assert counted(names.request_microseconds) > 0
    assert counted(names.queue_microseconds) >= 0
    assert counted(names.failures) >= 0
    assert counted(names.pending) == 0


def test_asked_to_end_it_ends_in_time_and_leaves_nothing(
    server: Server,
    installed: InstalledServer,
    store: Store,
    repository: ModelRepository,
    tmp_path: Path,
) -> None:
    serving = lay_out(installed, store, repository, tmp_path)
    with started(server, installed, serving) as running:
        wait_until_ready(running, server)
        children = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(server.exit_limit) == 0
        assert psutil.wait_procs(children, 5)[1] == []


def test_a_model_that_does_not_load_ends_it(
    server: Server,
    installed: InstalledServer,
    store: Store,
    repository: ModelRepository,
    tmp_path: Path,
) -> None:
    serving = lay_out(installed, store, repository, tmp_path)
    for path in serving.rglob("*.onnx"):
        path.unlink()
        path.write_bytes(b"damaged")
    with started(server, installed, serving) as running:
        assert running.process.wait(START_LIMIT) != 0
        assert MODEL in running.log.read_text()
