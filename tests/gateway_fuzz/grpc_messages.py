"""Mutated gRPC messages: made from a seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tritonclient.grpc import service_pb2

SERVICE = "/inference.GRPCInferenceService/"
_LONG_TEXTS = ("n" * 30_000, "n" * 70_000, "é%" * 15_000)
"""Triton repeats them in errors, which are headers: with 64 KiB they end an HTTP/2 connection."""
_LONG_METADATA = (
    (("x-long", "v" * 12_000),),
    (("x-longer", "v" * 50_000),),
    (("x" * 20_000, "v"),),
    tuple((f"x-{number}", "v" * 300) for number in range(90)),
)
_SIZES = (0, 1, -1, 2, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63))
_DATATYPES = ("FP32", "FP32", "FP16", "BYTES", "BOOL", "INT64", "", "x" * 9)
_PARAMETERS = (
    "classification", "sequence_id", "priority", "timeout", "shared_memory_region",
    "shared_memory_byte_size", "binary_data_size", "x",
)  # fmt: skip
_METHODS = (
    "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "ServerLive", "ServerMetadata",
    "RepositoryIndex", "RepositoryModelUnload", "SystemSharedMemoryRegister", "TraceSetting",
    "LogSettings", "Nothing",
)  # fmt: skip
_PATIENCE = (0.001, 0.004, 0.02)
"""Seconds: a call of the small model takes about two milliseconds."""


@dataclass(frozen=True)
class GrpcCall:
    """One call: its method, its message, its metadata."""

    method: str
    data: bytes
    metadata: tuple[tuple[str, str], ...]
    stream: bool
    cancelled_after: float | None = None
    """Seconds until the client gives it up; None if it waits for the answer."""


def make(chance: random.Random, model: str) -> GrpcCall:
    """Return the next mutated call to a model."""
    request = _request(chance, model)
    data = request.SerializeToString()
    if chance.random() < 0.35:
        data = _scrambled(chance, data)
    stream = chance.random() < 0.1
    method = "ModelStreamInfer" if stream else "ModelInfer"
    if chance.random() < 0.1:
        method, stream = chance.choice(_METHODS), False
        data = (
            b"\x0a" + bytes([len(model)]) + model.encode() + chance.randbytes(chance.randrange(3))
        )
    named = (("cloche-service", model),) if chance.random() < 0.5 else ()
    if chance.random() < 0.05:
        named += chance.choice(_LONG_METADATA)
    waits = chance.random() < 0.7
    given_up = None if waits else chance.random() * chance.choice(_PATIENCE)
    return GrpcCall(SERVICE + method, data, named, stream, given_up)


def _request(chance: random.Random, model: str) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=model, id="1")
    for _ in range(chance.choice((1, 1, 1, 0, 3))):
        count = chance.choice((1, 2, 64))
        tensor = request.inputs.add(name="x", datatype="FP32", shape=[count])
        if chance.random() < 0.4:
            tensor.ClearField("shape")
            tensor.shape.extend(chance.choice(_SIZES) for _ in range(chance.randint(0, 4)))
        if chance.random() < 0.2:
            tensor.datatype = chance.choice(_DATATYPES)
        if chance.random() < 0.1:
            tensor.name = chance.choice(("", "y", "x" * 10, *_LONG_TEXTS))
        _fill(chance, request, tensor, count)
    if chance.random() < 0.2:
        _put_parameter(chance, request.parameters)
    if chance.random() < 0.2:
        output = request.outputs.add(name=chance.choice(("y", "", "z", *_LONG_TEXTS)))
        _put_parameter(chance, output.parameters)
    if chance.random() < 0.05:
        request.model_version = chance.choice(("1", "2", "-1", "x", *_LONG_TEXTS))
    return request


def _fill(
    chance: random.Random,
    request: service_pb2.ModelInferRequest,
    tensor: service_pb2.ModelInferRequest.InferInputTensor,
    count: int,
) -> None:
    how = chance.randrange(10)
    if how < 5:
        request.raw_input_contents.append(chance.randbytes(4 * count - (how == 4)))
    if how in {5, 6, 9}:
        tensor.contents.fp32_contents.extend([1.5] * count)
    if how in {7, 9}:
        tensor.contents.bytes_contents.append(chance.randbytes(5))
    if how == 8:
        tensor.contents.int64_contents.extend([1] * count)
    if chance.random() < 0.1:
        _put_parameter(chance, tensor.parameters)


def _put_parameter(chance: random.Random, parameters: object) -> None:
    value = parameters[chance.choice(_PARAMETERS)]  # type: ignore[index]
    match chance.randrange(4):
        case 0:
            value.int64_param = chance.choice(_SIZES)
        case 1:
            value.string_param = "a" * chance.choice((0, 1, 1000))
        case 2:
            value.bool_param = True
        case _:
            value.double_param = chance.choice((0.5, -1.0, float("inf"), float("nan")))


def _scrambled(chance: random.Random, message: bytes) -> bytes:
    data = bytearray(message)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(3):
            case 0:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            case 1:
                del data[at : at + chance.randint(1, 10)]
            case _:
                data[at : at + 1] = b"\xff"
    return bytes(data)
