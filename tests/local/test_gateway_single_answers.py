"""How the gateway makes the answer of a call from that of a stream; any that a server gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from running_gateway import Calls, Replica, Running, installed, running
from tritonclient.grpc import service_pb2

from cloche.targets.local.envoy.services import GatewayState, RevisionEndpoints, ServiceRoutes


class Scripted(Replica):
    """A replica whose streams say what a test wants."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.messages: list[Any] = []

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        for _ in requests:
            yield from self.messages


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scripted, Running]]:
    with running(tmp_path_factory.mktemp("scripted"), installed()) as gateway:
        replica = Scripted("a")
        gateway.replicas.append(replica)
        revision = RevisionEndpoints(1, 100, (replica.endpoint,), as_streams=True)
        service = ServiceRoutes("m", ("m",), (revision,), plain=("m",))
        gateway.gateway.apply(GatewayState((service,)))
        yield replica, gateway
        assert "lua" not in gateway.log()


def outcome(address: str) -> tuple[str, Any]:
    """Return the status of a call, and its answer or what it says."""
    calls = Calls(address)
    with calls.channel:
        try:
            return "OK", calls.infer("m")[0]
        except grpc.RpcError as error:
            return error.code().name, error.details()


def failed(words: str, *, of_model: bool = False) -> Any:
    message = service_pb2.ModelStreamInferResponse(error_message=words)
    message.infer_response.id = "1"
    if of_model:
        message.infer_response.model_name = "m"
        message.infer_response.parameters["triton_final_response"].bool_param = True
    return message


@pytest.mark.parametrize(
    ("words", "of_model", "status"),
    [
        ("Request for unknown model: 'm' version 1 is not at ready state", False, "UNAVAILABLE"),
        ("Request for unknown model: 'm' has no available versions", False, "NOT_FOUND"),
        ("Server not ready", False, "UNAVAILABLE"),
        ("[request id: a] Exceeds maximum queue size", False, "UNAVAILABLE"),
        ("in ensemble 'm', [request id: a] Exceeds maximum queue size", True, "UNAVAILABLE"),
        ("Request timeout expired", True, "UNAVAILABLE"),
        ("unexpected inference input 'Server not ready' for model 'm'", False, "INVALID_ARGUMENT"),
        ("in ensemble 'm', onnx runtime error 2: wrong", True, "INTERNAL"),
        ("onnx runtime error 2: not implemented", True, "INTERNAL"),
        ("Failed to enforce schema of data '1' with schema '2'.", True, "INVALID_ARGUMENT"),
        ("the parameter k takes long, and 1.5 is none", True, "INVALID_ARGUMENT"),
        ("", False, "INVALID_ARGUMENT"),
    ],
)
def test_the_words_of_an_error_tell_its_status(
    scripted: tuple[Scripted, Running], words: str, of_model: bool, status: str
) -> None:
    replica, gateway = scripted
    replica.messages = [failed(words, of_model=of_model)]
    if not words:
        # Without words it is no error.
        assert outcome(gateway.address)[0] == "OK"
        return
    assert outcome(gateway.address) == (status, words)


def test_parameters_of_any_size_before_the_tensors(scripted: tuple[Scripted, Running]) -> None:
    replica, gateway = scripted
    answer = service_pb2.ModelInferResponse(model_name="m", model_version="1", id="2")
    answer.parameters["a"].string_param = "triton_final_response" * 10_000
    answer.parameters["b"].bool_param = False
    answer.outputs.add(name="y", datatype="BYTES", shape=[1])
    answer.raw_output_contents.append(b"\x0a\x15triton_final_response\x12\x02\x08\x00" * 1000)
    said = service_pb2.ModelStreamInferResponse(infer_response=answer)
    said.infer_response.parameters["triton_final_response"].bool_param = True
    replica.messages = [said]
    assert outcome(gateway.address) == ("OK", answer)


def test_a_stream_of_a_client_passes_as_it_is(scripted: tuple[Scripted, Running]) -> None:
    replica, gateway = scripted
    replica.messages = [failed("words"), failed("more words", of_model=True)]
    assert Calls(gateway.address).stream("m", 1) == replica.messages
