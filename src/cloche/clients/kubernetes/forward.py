"""A port of a pod on this machine: port-forward over WebSocket.

Each accepted connection has a WebSocket of its own. Its messages begin with a channel: 0 carries
the data, 1 what went wrong; the first message on each is the number of the port. The protocol has
no way to say that one side has ended: that of a pod ends the connection, that of this machine is
kept from the pod, whose answer is still carried.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ (portforward)
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    ProxyError,
)
from websockets.typing import Subprotocol

from cloche.clients.kubernetes.errors import not_kubernetes
from cloche.clients.kubernetes.kinds import POD
from cloche.clients.kubernetes.status import decoded, status_of
from cloche.clients.kubernetes.tls import tls
from cloche.clients.kubernetes.transport import Request
from cloche.clients.patience import AgainError, Attempts
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.asyncio.client import ClientConnection
    from websockets.http11 import Response

    from cloche.clients.kubernetes.credentials import Identity
    from cloche.clients.kubernetes.transport import Transport

_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.WARNING)  # below that the headers are logged, with the token
_PROTOCOL = Subprotocol("v4.channel.k8s.io")
_DATA, _ERROR = 0, 1
_BLOCK = 65536
_OPEN = 15.0
_CLOSE = 1.0
_RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: closing resets the connection."""
_SILENCE = 60.0
"""Seconds without a byte from the pod, after a connection of this machine has ended."""


@contextmanager
def forward(transport: Transport, pod: str, namespace: str, port: int) -> Iterator[int]:
    """Yield a free port of 127.0.0.1 that leads to a port of a pod until the end of the block.

    Raises ClocheError if the cluster does not lead there. Whether something listens in the pod
    shows with each connection: it is reset where nothing does.
    """
    path, what = POD.path(namespace, pod, "portforward"), POD.words(namespace, pod)
    relay = _Relay(transport, Request("GET", path, what, {"ports": str(port)}))
    thread = threading.Thread(target=relay.run, name=f"forward-{pod}-{port}", daemon=True)
    thread.start()
    try:
        yield relay.port.result()
    finally:
        relay.stop.set_result(None)
        thread.join()


class _Relay:
    """Carries what connections to a port say, in a thread with an event loop of its own."""

    def __init__(self, transport: Transport, request: Request) -> None:
        self._transport, self._request = transport, request
        self.port: Future[int] = Future()
        self.stop: Future[None] = Future()
        self._connections: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Listen until `stop`; then all connections end."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        stop = asyncio.wrap_future(self.stop)
        listening = asyncio.create_task(self._listen())
        await stop
        listening.cancel()

    async def _listen(self) -> None:
        """Listen, once the cluster was seen to lead to the pod."""
        try:
            await (await self._open()).close()
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        except Exception as error:  # noqa: BLE001 - it is raised where the port is awaited
            self.port.set_exception(error)
            return
        self.port.set_result(server.sockets[0].getsockname()[1])
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to carry a connection, and drop it however that ends."""
        task = asyncio.create_task(self._lead(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection; it is reset where the cluster does not lead to its end."""
        try:
            async with await self._open() as channel:
                await _carry(reader, writer, channel)
            writer.close()
            await writer.wait_closed()
        except (ClocheError, ConnectionClosed, OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    # ── WebSockets ────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> ClientConnection:
        """Return a WebSocket to the pod; tries again where that helps."""
        attempts = Attempts(self._transport.patience, self._transport.stop)
        while True:
            try:
                return await self._open_once()
            except AgainError as again:
                await asyncio.sleep(attempts.pause(again))

    async def _open_once(self) -> ClientConnection:
        credentials = self._transport.credentials
        identity = await asyncio.to_thread(credentials.identity)
        try:
            return await self._connect(identity)
        except InvalidStatus as error:
            if error.response.status_code != 401:
                self._raise(error.response)
            renewed = await asyncio.to_thread(credentials.renewed, identity)
            if renewed is None:
                self._raise(error.response)
        try:
            return await self._connect(renewed)
        except InvalidStatus as error:
            self._raise(error.response)

    async def _connect(self, identity: Identity) -> ClientConnection:
        transport, request = self._transport, self._request
        server = transport.context.server
        target = f"{server.url.partition(':')[2]}{request.path}?{urlencode(request.parameters)}"
        try:
            return await connect(
                f"{'wss' if server.is_secure else 'ws'}:{target}",
                ssl=tls(server, identity.certificate) if server.is_secure else None,
                subprotocols=[_PROTOCOL],
                additional_headers=transport.headers(identity),
                user_agent_header=None,
                proxy=server.proxy or (None if server.is_loopback else True),
                compression=None,
                max_size=None,
                open_timeout=_OPEN,
                close_timeout=_CLOSE,
                logger=_LOGGER,
                ping_interval=None,  # a full connection would be taken for a dead one
            )
        except InvalidStatus:
            raise
        except (OSError, InvalidMessage, ProxyError) as error:  # TimeoutError is an OSError, too
            raise transport.failed(error, request) from error
        except InvalidHandshake as error:
            raise not_kubernetes(transport.asked(request)) from error

    def _raise(self, response: Response) -> NoReturn:
        status = status_of(response.status_code, decoded(bytes(response.body)))
        self._transport.raise_status(status, self._request)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: ClientConnection
) -> None:
    """Carry both ways until the pod has ended, or says no more to who has ended here."""
    answers = _Answers(channel, writer)
    up = asyncio.create_task(_send(reader, channel))
    down = asyncio.create_task(answers.receive())
    try:
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        seen = -1
        while not down.done() and seen != answers.received:
            seen = answers.received
            await asyncio.wait({down}, timeout=_SILENCE)
        if down.done():
            down.result()
    finally:
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, channel: ClientConnection) -> None:
    while block := await reader.read(_BLOCK):
        await channel.send(bytes((_DATA,)) + block)


class _Answers:
    """What comes from a pod, on its channels."""

    def __init__(self, channel: ClientConnection, writer: asyncio.StreamWriter) -> None:
        self._channel, self._writer = channel, writer
        self.received = 0
        """Messages so far."""

    async def receive(self) -> None:
        """Write the data on until the pod has ended; raises ConnectionError if it fails."""
        numbered: set[int] = set()
        async for message in self._channel:
            self.received += 1
            if isinstance(message, str) or not message:
                continue
            channel, data = message[0], message[1:]
            if channel not in numbered:
                numbered.add(channel)
                data = data[2:]
            if channel == _ERROR and data:
                raise ConnectionResetError(data.decode(errors="replace"))
            if channel == _DATA and data:
                self._writer.write(data)
                await self._writer.drain()
