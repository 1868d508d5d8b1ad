"""Single calls over gRPC are passed on as streams: nobody who gives up ends a replica.

A ModelInfer that is cancelled while it is answered ends Triton 24.10. Answers and errors are those
of a server that is asked directly.
"""

from __future__ import annotations

import random
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from running_gateway import Calls, Running, installed, running
from tritonclient.grpc import service_pb2

from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)
from cloche.targets.local.envoy.statistics import Counts
from fixtures.local import CONFIGURATION, until
from fixtures.triton import RunningTriton, TritonStarter

MODEL = """
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if x[0] < 0:
                raise ValueError("é is 100% wrong\\n")
            answers.append(utils.InferenceResponse([utils.Tensor("y", x * 2)]))
        return answers
"""
COUNTING = """
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            sender = request.get_response_sender()
            for each in range(int(x[0])):
                sender.send(utils.InferenceResponse([utils.Tensor("y", x * each)]))
            sender.send(flags=utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
DECOUPLED = CONFIGURATION + "model_transaction_policy { decoupled: True }\n"
CANCELLED = 3000


@pytest.fixture(scope="module")
def served(
    triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningTriton, Running]]:
    """Yield Triton with a model, and with one of streams alone and together with it."""
    folder = tmp_path_factory.mktemp("unary")
    for name, config, code in (
        ("double", CONFIGURATION, MODEL),
        ("count", DECOUPLED, COUNTING),
    ):
        (folder / "tree" / name / "1").mkdir(parents=True)
        (folder / "tree" / name / "config.pbtxt").write_text(config)
        (folder / "tree" / name / "1" / "model.py").write_text(code)
    triton = triton_starter.start(folder / "tree", ["double", "count"])
    with running(folder / "home", installed()) as gateway:
        endpoint = Endpoint(triton.addresses.http, triton.addresses.grpc)
        own = RevisionEndpoints(1, 100, (endpoint,), as_streams=True)
        streams = RevisionEndpoints(1, 100, (endpoint,), decoupled=True, as_streams=True)
        services = (
            ServiceRoutes(
                "double", ("double",), (own,), plain=("double", "Two.Fold"), aliases=("Two.Fold",)
            ),
            ServiceRoutes("count", ("count",), (streams,), plain=("count",)),
            ServiceRoutes("both", ("double", "count"), (own,)),
        )
        gateway.gateway.apply(GatewayState(services))
        yield triton, gateway
        assert "lua" not in gateway.log()
    # It keeps some of what was given up, and would wait for it.
    triton.kill()


def request(*values: float, model: str = "double", **fields: Any) -> Any:
    made = service_pb2.ModelInferRequest(model_name=model, **fields)
    made.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    made.raw_input_contents.append(struct.pack(f"<{len(values)}f", *values))
    return made


def changed(change: Callable[[Any], object]) -> Any:
    made = request(40, 41)
    change(made)
    return made


def outcome(address: str, asked: Any, **options: Any) -> tuple[str, Any]:
    """Return the status of a call, and its answer or what it says."""
    calls = Calls(address, more=[("grpc.max_receive_message_length", -1)])
    with calls.channel:
        try:
            return "OK", calls.stub.ModelInfer(asked, timeout=30, **options)
        except grpc.RpcError as error:
            return error.code().name, error.details()


@pytest.mark.parametrize(
    "asked",
    [
        request(40, 41),
        request(40, 41, id="an identifier"),
        request(40, 41, model_version="1"),
        request(*[50.0] * 2_000_000),
        request(),
        request(-1),
        request(40, model_version="2"),
        request(40, model_version="x"),
        request(40, model="count"),
        changed(lambda made: setattr(made.inputs[0], "name", "é%\n" * 500)),
        changed(lambda made: setattr(made.inputs[0], "datatype", "INT8")),
        changed(lambda made: made.inputs[0].shape.extend([1, 1])),
        changed(lambda made: made.inputs[0].ClearField("shape")),
        changed(lambda made: made.ClearField("inputs")),
        changed(lambda made: made.outputs.add(name="z")),
    ],
    ids=lambda made: str(made).replace("\n", " ")[:60],
)
def test_a_call_is_answered_as_by_the_server_itself(
    served: tuple[RunningTriton, Running], asked: Any
) -> None:
    triton, gateway = served
    direct = outcome(triton.addresses.grpc, asked)
    assert outcome(gateway.address, asked) == direct
    for metadata in (("cloche-service", "both"), ("triton_grpc_error", "true")):
        assert outcome(gateway.address, asked, metadata=(metadata,)) == direct


def test_an_answer_carries_the_name_that_was_asked_for(
    served: tuple[RunningTriton, Running],
) -> None:
    _, gateway = served
    _, answer = outcome(gateway.address, request(40, model="Two.Fold"))
    assert answer.model_name == "Two.Fold"
    assert not answer.parameters


def test_a_compressed_message_passes(served: tuple[RunningTriton, Running]) -> None:
    triton, gateway = served
    metadata = (("cloche-service", "double"),)
    given = request(*[50.0] * 10_000)
    answer = outcome(gateway.address, given, metadata=metadata, compression=grpc.Compression.Gzip)
    assert answer == outcome(triton.addresses.grpc, given)


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b""])
def test_a_message_that_is_none_is_refused_as_by_grpc(
    served: tuple[RunningTriton, Running], message: bytes
) -> None:
    triton, gateway = served
    said = []
    for address in (triton.addresses.grpc, gateway.address):
        with grpc.insecure_channel(address) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            with pytest.raises(grpc.RpcError) as caught:
                call(message, metadata=(("cloche-service", "double"),), timeout=30)
            said.append((caught.value.code(), caught.value.details()))
    assert said[0] == said[1]


def test_an_error_is_cut_where_clients_would_not_take_it(
    served: tuple[RunningTriton, Running],
) -> None:
    _, gateway = served
    asked = changed(lambda made: setattr(made.inputs[0], "name", "é" * 100_000))
    status, said = outcome(gateway.address, asked)
    assert status == "INVALID_ARGUMENT"
    assert said.startswith("unexpected inference input 'éé")
    assert set(said[60:]) == {"é"}


def counted(gateway: Running) -> Counts:
    """Return what all processes have counted of the first service."""
    found = gateway.gateway.counts().values()
    return sum((each.get(("double", 1), Counts()) for each in found), Counts())


def test_the_status_that_is_made_is_what_is_counted(
    served: tuple[RunningTriton, Running],
) -> None:
    _, gateway = served
    before = counted(gateway)
    for values, version in (((40,), "1"), ((40,), "2"), ((-1,), "1")):
        outcome(gateway.address, request(*values, model_version=version))
    until(lambda: counted(gateway).answered >= before.answered + 3)
    found = counted(gateway).since(before)
    assert (found.errors, found.lost) == (1, 0)


def given_up(address: str, seed: int, count: int) -> Counter[str]:
    """Cancel calls after a random time, half of them by their deadlines; return how they ended."""
    chance, ends = random.Random(seed), Counter[str]()
    while ends.total() < count:
        with grpc.insecure_channel(address) as channel:
            stub = Calls.over(channel)
            made = []
            for _ in range(8):
                values = (
                    (-1.0,) if chance.random() < 0.1 else (40.0,) * chance.choice((2, 2, 2, 20_000))
                )
                deadline = chance.random() * 0.005 if chance.random() < 0.5 else None
                made.append(stub.ModelInfer.future(request(*values), timeout=deadline))
            threading.Event().wait(chance.random() * 0.005)
            for call in made:
                call.cancel()
            ends.update(call.code().name for call in made)
    return ends


@pytest.mark.timeout(180)
def test_clients_that_give_up_end_no_replica(served: tuple[RunningTriton, Running]) -> None:
    triton, gateway = served
    ends = [Counter[str]() for _ in range(3)]

    def give_up(number: int) -> None:
        ends[number] = given_up(gateway.address, number, CANCELLED // len(ends))

    senders = [threading.Thread(target=give_up, args=(number,)) for number in range(len(ends))]
    for sender in senders:
        sender.start()
    asked = 0
    while any(sender.is_alive() for sender in senders) or asked < 10:
        status, answer = outcome(gateway.address, request(40, 41))
        assert status == "OK", answer
        assert answer.raw_output_contents == [struct.pack("<2f", 80, 82)]
        asked += 1
    for sender in senders:
        sender.join()
    assert triton.process.poll() is None, triton.log.read_text()[-2000:]
    assert sum(each["CANCELLED"] for each in ends) > CANCELLED / 10
