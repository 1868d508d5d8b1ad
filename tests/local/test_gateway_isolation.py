"""What one client sends over gRPC costs no call of another one, on real Triton."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import grpc
import psutil
import pytest
from running_gateway import Running, doubling
from tritonclient.grpc import service_pb2, service_pb2_grpc

from cloche.targets.local import proc
from fixtures.local import until
from fixtures.triton import RunningTriton, TritonStarter
from gateway_fuzz.bystander import Bystander
from gateway_fuzz.serving import DOUBLING
from gateway_fuzz.watching import answers_right

VICTIMS = 4
Request = service_pb2.ModelInferRequest
Pair = tuple[RunningTriton, Running]


@pytest.fixture(scope="module")
def served(
    triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("double")
    # One process: all connections meet in it.
    with doubling(triton_starter, folder, DOUBLING, gateway_processes=1) as pair:
        yield pair


def long_name(request: Request, name: str = "n" * 70_000) -> None:
    request.inputs[0].name = name


def long_shape(request: Request) -> None:
    request.inputs[0].shape[:] = [2**62] * 70_000


MESSAGES: dict[str, Callable[[Request], object]] = {
    "input": long_name,
    "input of 2 MB": lambda request: long_name(request, "n" * 2_000_000),
    "escaped": lambda request: long_name(request, "é%" * 10_000),
    "output": lambda request: request.outputs.add(name="o" * 70_000),
    "version": lambda request: setattr(request, "model_version", "9" * 70_000),
    "model": lambda request: setattr(request, "model_name", "m" * 70_000),
    "shape": long_shape,
}
METADATA = {
    "long value": [("x-a", "v" * 17_000)],
    "longer value": [("x-a", "v" * 50_000)],
    "long key": [("x" * 20_000, "v")],
    "many keys": [(f"x-{number}", "v" * 300) for number in range(90)],
    "many long keys": [(f"x-{number}-{'k' * 140}", "v") for number in range(90)],
    "escaped keys": [(f"x-{number}-{'%' * 140}", "v") for number in range(90)],
    "binary": [("x-bin", b"v" * 9_000)],
}
CALLS = ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics")


def call(address: str, method: str, message: bytes, metadata: list[tuple[str, str | bytes]]) -> str:
    """Make one call on a connection of its own; return the name of its status."""
    own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_metadata_size", 2**20)]
    with grpc.insecure_channel(address, options=own) as channel:
        asked = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        try:
            asked(message, metadata=[("cloche-service", "double"), *metadata], timeout=30)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"


def good() -> Request:
    request = Request(model_name="double", raw_input_contents=[bytes(8)])
    request.inputs.add(name="x", datatype="FP32", shape=[2])
    return request


def poisons() -> Iterator[tuple[str, str, bytes, list[tuple[str, str | bytes]]]]:
    for name, change in MESSAGES.items():
        request = good()
        change(request)
        yield name, "ModelInfer", request.SerializeToString(), []
    for name, metadata in METADATA.items():
        yield name, "ModelInfer", good().SerializeToString(), [*metadata]
    for method in CALLS:
        # All of these requests have two texts, the model's name and its version.
        named = Request(model_name="double", model_version="9" * 70_000).SerializeToString()
        yield method, method, named, []


@pytest.mark.parametrize("poison", list(poisons()), ids=lambda poison: poison[0])
def test_what_one_client_sends_ends_no_connection_of_another(
    served: Pair, poison: tuple[str, str, bytes, list[tuple[str, str | bytes]]]
) -> None:
    triton, gateway = served
    bystander = Bystander(gateway.address, "double")
    try:
        bystander.ask()
        call(gateway.address, *poison[1:])
        bystander.ask()
    finally:
        bystander.close()
    assert triton.process.poll() is None


def test_no_call_of_others_is_lost_under_load(served: Pair) -> None:
    triton, gateway = served
    over, answers = threading.Event(), Counter[str]()

    def ask_on() -> None:
        with grpc.insecure_channel(
            gateway.address, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not over.is_set():
                try:
                    stub.ModelInfer(good(), timeout=30)
                    answers["OK"] += 1
                except grpc.RpcError as error:
                    answers[f"{error.code()} {error.details()}"] += 1

    victims = [threading.Thread(target=ask_on) for _ in range(VICTIMS)]
    for victim in victims:
        victim.start()
    try:
        for _ in range(10):
            for _, method, message, metadata in poisons():
                call(gateway.address, method, message, metadata)
        until(lambda: answers["OK"] >= 500 or set(answers) != {"OK"})
    finally:
        over.set()
        for victim in victims:
            victim.join()
    assert set(answers) == {"OK"}
    assert triton.process.poll() is None


def test_slow_uploads_of_any_number_keep_nobody_out(served: Pair) -> None:
    triton, gateway = served
    for pid in (os.getpid(), triton.process.pid):
        proc.raise_limit_of_files(pid)
    host, port = gateway.address.split(":")
    line = b"POST /v2/models/double/infer HTTP/1.1\r\n"
    head = line + b"Host: localhost\r\nContent-Length: 600000\r\n\r\n"
    before = psutil.Process(triton.process.pid).num_fds()
    with ExitStack() as connections:
        for _ in range(1100):
            slow = connections.enter_context(socket.create_connection((host, int(port))))
            slow.sendall(head + b" ")
        # Envoy's own limit of a cluster is 1024.
        until(lambda: psutil.Process(triton.process.pid).num_fds() > before + 1024)
        answers_right(gateway.address, "double")


def test_connections_of_clients_that_have_gone_end(served: Pair) -> None:
    triton, gateway = served
    (envoy,) = gateway.processes

    def to_triton() -> int:
        made = [each.raddr for each in psutil.Process(envoy.pid).net_connections() if each.raddr]
        return sum(1 for ip, port in made if f"{ip}:{port}" == triton.addresses.grpc)

    for _ in range(30):
        assert call(gateway.address, "ModelInfer", good().SerializeToString(), []) == "OK"
    until(lambda: to_triton() == 0)
