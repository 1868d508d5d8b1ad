"""Which sockets are connected to a Unix socket, as the kernel tells.

By netlink: sock_diag(7), of `AF_UNIX`. The sockets that a server accepted have the path on which it
listens, and each names the inode of its other end.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SHOW_NAME, _SHOW_PEER = 1, 4
_NAME, _PEER = 0, 2
_ESTABLISHED = 1 << 1

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIIIII")
_MESSAGE = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_INODE = struct.Struct("=I")
_SECONDS = 2.0
_BUFFER = 1 << 16


def are_known() -> bool:
    """Return whether the kernel tells: one without this part of sock_diag does not."""
    try:
        of(())
    except OSError:
        return False
    return True


def of(paths: Collection[str]) -> frozenset[int]:
    """Return the inodes of the sockets that are connected to one of these; raises OSError."""
    names = {path.encode("utf-8", "surrogateescape") for path in paths}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_SECONDS)
        show = _SHOW_NAME | _SHOW_PEER
        request = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ESTABLISHED, 0, show, 0, 0)
        size = _HEADER.size + len(request)
        header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
        kernel.send(header + request)
        return frozenset(
            peer for name, peer in _sockets(kernel) if name in names and peer is not None
        )


def _sockets(kernel: socket.socket) -> Iterator[tuple[bytes, int | None]]:
    """Yield path and peer of each socket of an answer."""
    while True:
        data, at = kernel.recv(_BUFFER), 0
        while at < len(data):
            size, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise OSError(-struct.unpack_from("=i", data, at + _HEADER.size)[0], "sock_diag")
            attributes = dict(_attributes(data, at + _HEADER.size + _MESSAGE.size, at + size))
            peer = attributes.get(_PEER)
            yield (
                attributes.get(_NAME, b"").rstrip(b"\0"),
                _INODE.unpack(peer)[0] if peer is not None else None,
            )
            at += _aligned(size)


def _attributes(data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    while at < end:
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind, data[at + _ATTRIBUTE.size : at + size]
        at += _aligned(size)


def _aligned(size: int) -> int:
    return (size + 3) & ~3
