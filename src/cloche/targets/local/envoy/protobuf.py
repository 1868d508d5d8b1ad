"""The few protobuf messages that the gateway needs, written without a protobuf library.

Encoding: https://protobuf.dev/programming-guides/encoding/. Messages and their field numbers are
those of descriptor.proto and of the KServe inference protocol (grpc_service.proto of Triton).
Importing the generated classes would cost the control plane tens of megabytes.
"""

from __future__ import annotations

SERVICE = "inference.GRPCInferenceService"

NAME_FIELDS: dict[str, str] = {
    "ModelInfer": "model_name",
    "ModelStreamInfer": "model_name",
    "ModelReady": "name",
    "ModelMetadata": "name",
    "ModelConfig": "name",
    "ModelStatistics": "name",
}
"""The routed calls, and the field of their request that names the model, always field 1."""

_STREAMING = {"ModelStreamInfer"}
_TYPE_STRING, _LABEL_OPTIONAL = 9, 1


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def descriptor_set() -> bytes:
    """Return a FileDescriptorSet of the routed calls whose messages have only the naming field.

    All other fields are skipped as unknown, so tensors are never parsed.
    """
    request_names = {
        method: ("ModelInfer" if method in _STREAMING else method) + "Request"
        for method in NAME_FIELDS
    }
    messages = {request_names[method]: field for method, field in NAME_FIELDS.items()}
    file = _bytes(1, "cloche_gateway.proto") + _bytes(2, "inference")
    for message, field in messages.items():
        described = (
            _bytes(1, field)
            + _number(3, 1)
            + _number(4, _LABEL_OPTIONAL)
            + _number(5, _TYPE_STRING)
        )
        file += _bytes(4, _bytes(1, message) + _bytes(2, described))
    file += _bytes(4, _bytes(1, "Answer"))
    methods = b""
    for method in NAME_FIELDS:
        described = _bytes(1, method) + _bytes(2, f".inference.{request_names[method]}")
        described += _bytes(3, ".inference.Answer")
        if method in _STREAMING:
            described += _number(5, 1) + _number(6, 1)
        methods += _bytes(2, described)
    file += _bytes(6, _bytes(1, "GRPCInferenceService") + methods) + _bytes(12, "proto3")
    return _bytes(1, file)


def live_or_ready_response() -> bytes:
    """Return ServerLiveResponse{live: true}, which is also ServerReadyResponse{ready: true}."""
    return _number(1, 1)


def server_metadata_response(name: str, version: str, extensions: tuple[str, ...]) -> bytes:
    """Return ServerMetadataResponse."""
    encoded = b"".join(_bytes(3, extension) for extension in extensions)
    return _bytes(1, name) + _bytes(2, version) + encoded
