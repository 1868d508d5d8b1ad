"""Inference of decoupled models: one request, any number of answers, over gRPC.

Protocol: `ModelStreamInfer` of https://github.com/kserve/open-inference-protocol (gRPC), and
Triton's `decoupled_models.md`: the answer whose parameter `triton_final_response` is true is the
last one, and may be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloche.clients.kserve.tensors import from_bytes, read_header
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"})
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """One answer of a stream."""

    tensors: dict[str, NDArray[Any]]
    datatypes: dict[str, str]


def infer(
    address: str,
    model: str,
    body: bytes,
    header_length: int,
    *,
    timeout: float,
    metadata: Sequence[tuple[str, str]] = (),
) -> Iterator[StreamedAnswer]:
    """Send a binary body, as `encode` makes it, to `host:port` and yield each answer with tensors.

    All answers have to come within `timeout` seconds. Raises ClocheError `inference.refused`, and
    UnavailableError for a server that does not answer.
    """
    grpc, service = import_module("grpc"), import_module("tritonclient.grpc.service_pb2_grpc")
    request = _request(model, body, header_length)
    with grpc.insecure_channel(address, options=_UNLIMITED) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        try:
            for message in stub.ModelStreamInfer(
                iter([request]), timeout=timeout, metadata=tuple(metadata)
            ):
                if message.error_message:
                    raise ClocheError("inference.refused", message.error_message, where=address)
                response = message.infer_response
                if response.outputs:
                    yield _answer(response)
                if response.parameters["triton_final_response"].bool_param:
                    return
        except grpc.RpcError as error:
            raise _translated(error, address) from None


def _request(model: str, body: bytes, header_length: int) -> Any:
    service_pb2 = import_module("tritonclient.grpc.service_pb2")
    document, at = read_header(body, header_length), header_length
    request = service_pb2.ModelInferRequest(model_name=model)
    for entry in document["inputs"]:
        tensor = request.inputs.add(name=entry["name"], datatype=entry["datatype"])
        tensor.shape.extend(entry["shape"])
        size = entry["parameters"]["binary_data_size"]
        request.raw_input_contents.append(body[at : at + size])
        at += size
    _add_parameters(request, document.get("parameters") or {})
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    return request


def _add_parameters(request: Any, parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        if name == "binary_data_output":
            continue
        if isinstance(value, bool):
            request.parameters[name].bool_param = value
        elif isinstance(value, int):
            request.parameters[name].int64_param = value
        elif isinstance(value, float):
            request.parameters[name].double_param = value
        else:
            request.parameters[name].string_param = str(value)


def _answer(response: Any) -> StreamedAnswer:
    pairs = zip(response.outputs, response.raw_output_contents, strict=True)
    return StreamedAnswer(
        {
            out.name: from_bytes(raw, out.datatype, list(out.shape), name=out.name)
            for out, raw in pairs
        },
        {output.name: output.datatype for output in response.outputs},
    )


def _translated(error: Any, address: str) -> ClocheError:
    code = error.code().name
    if code in _PASSING:
        what = f"The server cannot be reached over gRPC: {error.details()}"
        return UnavailableError("inference.unreachable", what, where=address)
    return ClocheError("inference.refused", f"The server refused: {error.details()}", where=address)
