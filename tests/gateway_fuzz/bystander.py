"""A client that sends only what is right, while others do not: its calls must not suffer."""

from __future__ import annotations

import queue

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

_SECONDS = 60


class Bystander:
    """One stream that stays open, and single calls beside it, on one connection of its own."""

    def __init__(self, address: str, model: str) -> None:
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(address, options=own)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._request = service_pb2.ModelInferRequest(model_name=model)
        self._request.inputs.add(name="x", datatype="FP32", shape=[2])
        self._request.raw_input_contents.append(b"\x00\x00\x20\x42\x00\x00\x24\x42")
        self._sent: queue.SimpleQueue[service_pb2.ModelInferRequest | None] = queue.SimpleQueue()
        self._stream = self._stub.ModelStreamInfer(iter(self._sent.get, None))
        self.asked = 0

    def ask(self) -> None:
        """Assert that the stream and a single call are answered rightly."""
        self.asked += 1
        try:
            self._sent.put(self._request)
            streamed = next(self._stream)
            assert not streamed.error_message, streamed.error_message
            single = self._stub.ModelInfer(self._request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise AssertionError(f"a call of another client is lost: {error}") from error
        for answer in (streamed.infer_response, single):
            assert answer.raw_output_contents == [b"\x00\x00\xa0\x42\x00\x00\xa4\x42"]

    def close(self) -> None:
        self._sent.put(None)
        self._channel.close()
