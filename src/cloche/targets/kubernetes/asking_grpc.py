"""Asking a pod over gRPC where no port can be forwarded: each call is made by a Job.

    with relay(cluster, pod) as address: …

A server of this machine takes any call, and passes its messages on as they are.
"""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError
from cloche.targets.kubernetes import asking
from cloche.targets.kubernetes.objects.pod import PORTS
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.clients.kubernetes.cluster import Cluster

_PREFIX = struct.Struct("!BI")
"""Whether a message is compressed, and its size."""
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_OWN = ("user-agent", "grpc-", "te", "content-type", ":")
"""How the metadata begins that belongs to the connection."""


@contextmanager
def relay(cluster: Cluster, pod: dict[str, Any]) -> Iterator[str]:
    """Yield `host:port` of this machine, which leads to the gRPC port of a pod in the block."""
    grpc = import_module("grpc")

    class Handler:
        """Passes each call on; what keeps it from doing so is UNAVAILABLE."""

        def service(self, details: Any) -> Any:
            def pass_on(requests: Iterable[bytes], context: Any) -> Iterator[bytes]:
                try:
                    head, data = _sent(cluster, pod, details, requests)
                except ClocheError as error:
                    context.abort(grpc.StatusCode.UNAVAILABLE, error.what)
                    return
                yield from unframed(data)
                if head["status"]:
                    codes = {code.value[0]: code for code in grpc.StatusCode}
                    context.set_code(codes.get(head["status"], grpc.StatusCode.UNKNOWN))
                    context.set_details(head["message"])

            return grpc.stream_stream_rpc_method_handler(pass_on)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()], options=_UNLIMITED)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _sent(
    cluster: Cluster, pod: dict[str, Any], details: Any, requests: Iterable[bytes]
) -> tuple[dict[str, Any], bytes]:
    given = {
        key: value
        for key, value in details.invocation_metadata
        if isinstance(value, str) and not key.startswith(_OWN)
    }
    asked = {"port": PORTS["grpc"], "path": details.method, "headers": given}
    body = framed(requests)
    if len(body) > asking.LARGEST:
        what = f"A Job carries no more than {size_text(asking.LARGEST)} over gRPC."
        hint = "Have `create pods/portforward` allowed."
        raise ClocheError("target.kubernetes.ask", what, where=details.method, hint=hint)
    return asking.asked(cluster, pod, "send_grpc", asked, body)


def framed(messages: Iterable[bytes]) -> bytes:
    """Return messages as they follow each other in a call."""
    return b"".join(_PREFIX.pack(0, len(each)) + each for each in messages)


def unframed(data: bytes) -> Iterator[bytes]:
    """Yield the messages of a call."""
    at = 0
    while at < len(data):
        _, size = _PREFIX.unpack_from(data, at)
        at += _PREFIX.size
        yield data[at : at + size]
        at += size
