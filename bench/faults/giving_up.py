"""Clients that give up calls over gRPC while they are answered, some by a deadline."""

from __future__ import annotations

import random
import time

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

_AT_ONCE = 8
_LONGEST = 0.005
"""Seconds until a call is given up: the small model takes about two milliseconds."""


def give_up(address: str, model: str, count: int) -> None:
    """Make and give up so many calls, on a new connection for every eight."""
    chance = random.Random(count)
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1.0)
    for _ in range(count // _AT_ONCE):
        with grpc.insecure_channel(address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            limits = [chance.choice((None, chance.random() * _LONGEST)) for _ in range(_AT_ONCE)]
            calls = [stub.ModelInfer.future(request, timeout=limit) for limit in limits]
            time.sleep(chance.random() * _LONGEST)
            for call in calls:
                call.cancel()
