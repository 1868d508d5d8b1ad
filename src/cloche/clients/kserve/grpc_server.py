"""Whether a server speaks the KServe v2 protocol over gRPC."""

from __future__ import annotations

from importlib import import_module


def is_live(address: str, *, timeout: float = 10.0) -> bool:
    """Return whether the server at `host:port` says that it lives, within so many seconds."""
    grpc, service = import_module("grpc"), import_module("tritonclient.grpc.service_pb2_grpc")
    messages = import_module("tritonclient.grpc.service_pb2")
    with grpc.insecure_channel(address) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        try:
            answer = stub.ServerLive(messages.ServerLiveRequest(), timeout=timeout)
        except grpc.RpcError:
            return False
    return bool(answer.live)
