"""Ports of pods on this machine: what is said over WebSockets, and when they end."""

from __future__ import annotations

import http
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from cloche.clients.kubernetes.context import Context, Server, User
from cloche.clients.kubernetes.credentials import Credentials
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.clients.kubernetes.forward import forward
from cloche.clients.kubernetes.transport import Transport
from cloche.clients.patience import Patience
from cloche.errors import ClocheError

PORT = 8000
NUMBER = PORT.to_bytes(2, "little")
SUBPROTOCOL = Subprotocol("v4.channel.k8s.io")
LARGE = bytes(range(256)) * 4096 * 8
"""Eight megabytes: more than all buffers on the way."""

Serve = Callable[[ServerConnection], None]
Forwarding = Callable[..., AbstractContextManager[int]]


class Kubelet:
    """Speaks as a kubelet does: `serve` is the pod's side of each connection."""

    def __init__(self) -> None:
        self.serve: Serve = lambda channel: None
        self.refusals: list[tuple[int, Any]] = []
        """Answers to the next requests."""
        self.asked: list[Request] = []
        self.open = 0
        self.ended = threading.Condition()

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked.append(request)
        if not self.refusals:
            return None
        status, body = self.refusals.pop(0)
        return connection.respond(http.HTTPStatus(status), json.dumps(body))

    def handle(self, channel: ServerConnection) -> None:
        with self.ended:
            self.open += 1
        try:
            for number in (b"\0", b"\1"):
                channel.send(number + NUMBER)
            self.serve(channel)
        except ConnectionClosed:
            pass
        finally:
            with self.ended:
                self.open -= 1
                self.ended.notify_all()


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


@pytest.fixture
def forwarding(kubelet: Kubelet) -> Iterator[Forwarding]:
    """Forward a port of a pod whose kubelet the test plays."""
    with serve(
        kubelet.handle, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], compression=None,
        process_request=kubelet.answer, max_size=None, close_timeout=1,
    ) as server:  # fmt: skip
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        @contextmanager
        def forwarded(**user: Any) -> Iterator[int]:
            url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
            context = Context("here", Server(url), User(**user))
            patience = Patience(pauses=(0.01, 0.02))
            transport = Transport(context, Credentials(context, {}), patience)
            with forward(transport, "pod", "vision", PORT) as port:
                yield port

        yield forwarded
        server.shutdown()
        thread.join()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def echo(channel: ServerConnection) -> None:
    for message in channel:
        channel.send(message)


def test_what_is_asked(forwarding: Forwarding, kubelet: Kubelet) -> None:
    with forwarding(token="t", impersonation=(("Impersonate-User", "bob"),)):
        asked = kubelet.asked[0]
    assert asked.path == f"/api/v1/namespaces/vision/pods/pod/portforward?ports={PORT}"
    assert asked.headers["Sec-WebSocket-Protocol"] == SUBPROTOCOL
    assert asked.headers["Authorization"] == "Bearer t"
    assert asked.headers["Impersonate-User"] == "bob"


def test_large_bodies_both_ways_at_once(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.serve = echo
    with forwarding() as port, connected(port) as connection:
        sending = threading.Thread(target=connection.sendall, args=(LARGE,))
        sending.start()
        received = b""
        while len(received) < len(LARGE):
            received += connection.recv(65536)
        sending.join()
        assert received == LARGE


def test_connections_have_a_channel_each(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.serve = echo
    with forwarding() as port, connected(port) as one, connected(port) as two:
        one.sendall(b"one")
        two.sendall(b"two")
        assert (one.recv(9), two.recv(9)) == (b"one", b"two")


def test_the_answer_to_who_has_ended_is_still_carried(
    forwarding: Forwarding, kubelet: Kubelet
) -> None:
    def answer(channel: ServerConnection) -> None:
        assert channel.recv() == b"\0question"
        for start in range(0, len(LARGE), 32768):
            channel.send(b"\0" + LARGE[start : start + 32768])

    kubelet.serve = answer
    with forwarding() as port, connected(port) as connection:
        connection.sendall(b"question")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == LARGE


def test_the_end_of_a_pods_side_is_the_end(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.serve = lambda channel: channel.send(b"\0bye")
    with forwarding() as port, connected(port) as connection:
        assert read_all(connection) == b"bye"


def test_a_port_where_nothing_listens_resets(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.serve = lambda channel: channel.send(b"\1connection refused")
    with (
        forwarding() as port,
        connected(port) as connection,
        pytest.raises(ConnectionResetError),
    ):
        connection.recv(1)


def test_a_server_without_websockets(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.refusals.append((200, {}))
    with pytest.raises(ClocheError, match="does not answer as Kubernetes does"), forwarding():
        pass


def test_all_ends_with_the_block(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.serve = echo
    with forwarding() as port:
        connection = connected(port)
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    with connection:
        assert connection.recv(1) == b""
    with kubelet.ended:
        assert kubelet.ended.wait_for(lambda: kubelet.open == 0, timeout=30)
    with pytest.raises(ConnectionRefusedError):
        connected(port)
    assert not [one for one in threading.enumerate() if one.name.startswith("forward-")]


def test_a_missing_right_is_told_before_the_port_is(
    forwarding: Forwarding, kubelet: Kubelet
) -> None:
    message = 'User "ann" cannot create resource "pods/portforward" in API group ""'
    kubelet.refusals.append((403, {"kind": "Status", "message": message}))
    with pytest.raises(ForbiddenError, match="ann may not create pods/portforward"), forwarding():
        pass


def test_a_server_that_is_busy_is_asked_again(forwarding: Forwarding, kubelet: Kubelet) -> None:
    kubelet.refusals += [(503, None), (429, None)]
    with forwarding():
        assert len(kubelet.asked) == 3
    kubelet.refusals += [(503, None)] * 3
    with pytest.raises(ClocheError, match="status 503"), forwarding():
        pass


def test_a_refused_token_is_read_again(
    forwarding: Forwarding, kubelet: Kubelet, tmp_path: Any
) -> None:
    path = tmp_path / "token"
    path.write_text("old")

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        path.write_text("new")
        refused = request.headers["Authorization"] != "Bearer new"
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "") if refused else None

    kubelet.answer = answer  # type: ignore[method-assign]
    with forwarding(token_file=path):
        pass


def test_a_server_that_went_away_resets_what_comes(
    forwarding: Forwarding, kubelet: Kubelet
) -> None:
    with forwarding() as port:
        kubelet.refusals += [(503, None)] * 3
        with connected(port) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
