"""Sends mutated requests on several connections, and counts what is answered."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse

import grpc

from gateway_fuzz import grpc_messages, http_requests
from gateway_fuzz.grpc_messages import GrpcCall
from gateway_fuzz.http_requests import HttpRequest

_ANSWER_SECONDS = 30.0
_PART_SECONDS = 0.02
"""How long a request that is not whole waits for a refusal."""


@dataclass
class Sent:
    """What was sent and answered: by protocol and kind, how often each status."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: float = 0.0
    last: deque[object] = field(default_factory=lambda: deque(maxlen=40))
    """The last requests, to reproduce a fault."""

    @property
    def count(self) -> int:
        return sum(self.answers.values())

    def note(self, kind: str, answer: str, seconds: float) -> None:
        self.answers[kind, answer] += 1
        if answer != "none, as not whole":
            self.slowest = max(self.slowest, seconds)


class Sender(threading.Thread):
    """Sends so many requests, or until it is told to end; the same seed sends the same."""

    def __init__(
        self, address: str, model: str, count: int, seed: int, stops: Callable[[], bool]
    ) -> None:
        super().__init__(name=f"fuzz-{seed}", daemon=True)
        host, port = address.rsplit(":", 1)
        self.sent = Sent()
        self.failure: BaseException | None = None
        self._place, self._address = (host, int(port)), address
        self._model, self._count, self._stops = model, count, stops
        self._chance = random.Random(seed)
        self._socket: socket.socket | None = None

    def run(self) -> None:
        try:
            with grpc.insecure_channel(self._address) as channel:
                for _ in range(self._count):
                    if self._stops():
                        return
                    if self._chance.random() < 0.25:
                        self._call(channel)
                    else:
                        self._ask(http_requests.make(self._chance, self._model))
        except BaseException as error:  # noqa: BLE001 - it is raised where the thread is awaited
            self.failure = error
        finally:
            self._hang_up()

    def _call(self, channel: grpc.Channel) -> None:
        call = grpc_messages.make(self._chance, self._model)
        self.sent.last.append(call)
        before = time.monotonic()
        kind = "gRPC stream" if call.stream else "gRPC"
        if call.cancelled_after is not None:
            self.sent.note(f"{kind}, cancelled", self._give_up(channel, call), 0.0)
            return
        try:
            if call.stream:
                asked = channel.stream_stream(call.method)
                for _ in asked(iter([call.data]), metadata=call.metadata, timeout=_ANSWER_SECONDS):
                    pass
            else:
                channel.unary_unary(call.method)(
                    call.data, metadata=call.metadata, timeout=_ANSWER_SECONDS
                )
            answer = "OK"
        except grpc.RpcError as error:
            answer = error.code().name
        self.sent.note(kind, answer, time.monotonic() - before)

    @staticmethod
    def _give_up(channel: grpc.Channel, call: GrpcCall) -> str:
        """Cancel a call, half of them by a deadline; return how it ended."""
        after = call.cancelled_after or 0.0
        deadline = after if len(call.data) % 2 else None
        if call.stream:
            asked = channel.stream_stream(call.method)
            made = asked(iter([call.data]), metadata=call.metadata, timeout=deadline)
        else:
            asked = channel.unary_unary(call.method)
            made = asked.future(call.data, metadata=call.metadata, timeout=deadline)
        if deadline is None:
            time.sleep(after)
            made.cancel()
        return str(made.code().name)

    def _ask(self, request: HttpRequest) -> None:
        self.sent.last.append(request)
        before = time.monotonic()
        try:
            answer = self._answer(request)
        except TimeoutError:
            answer = "none in time" if request.whole else "none, as not whole"
            self._hang_up()
        except (OSError, HTTPException):
            answer = "closed"
            self._hang_up()
        self.sent.note(f"HTTP {request.kind}", answer, time.monotonic() - before)

    def _answer(self, request: HttpRequest) -> str:
        if self._socket is None:
            self._socket = socket.create_connection(self._place, _ANSWER_SECONDS)
        self._socket.settimeout(_ANSWER_SECONDS if request.whole else _PART_SECONDS)
        self._socket.sendall(request.data)
        response = HTTPResponse(self._socket, method="HEAD" if request.head else None)
        response.begin()
        response.read()
        if response.will_close or not request.whole:
            self._hang_up()
        return str(response.status)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
