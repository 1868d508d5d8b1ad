"""Gives all connections to one of the processes that listen on a port, while it lives.

Left alone the kernel spreads connections over them by a hash, and two processes that each have half
of the work take more of the processors than one that has all of it. A program of classic BPF
chooses the first socket of the group instead (SO_ATTACH_REUSEPORT_CBPF, see socket(7)). When that
one closes, the kernel puts the last one in its place; one that joins comes last.

The program is set on a listening socket of the process itself (pidfd_getfd(2)), which needs the
right to trace it. Where that is missing connections are spread.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from cloche.targets.local import ports

_PIDFD_GETFD = 438
"""The number of the system call, the same on every architecture."""
_SO_ATTACH_REUSEPORT_CBPF = 51
_RETURN_FIRST = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""`struct sock_filter`: BPF_RET | BPF_K with the index 0."""


def prefer_first(pid: int, port: int) -> bool:
    """Have the kernel prefer one of all sockets that listen on a port, of which a process has one.

    Returns whether that could be done; it holds until none of them listens any more.
    """
    descriptor = ports.listening(pid).get(port)
    if descriptor is None:
        return False
    try:
        with _copied(pid, descriptor) as listening:
            program = ctypes.create_string_buffer(_RETURN_FIRST, len(_RETURN_FIRST))
            # struct sock_fprog: the number of instructions, and where they are
            whole = struct.pack("@HP", 1, ctypes.addressof(program))
            listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, whole)
    except OSError:
        return False
    return True


def _copied(pid: int, descriptor: int) -> socket.socket:
    """Return a socket of another process; raises OSError if it cannot be had."""
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        copied = libc.syscall(_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if copied < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return socket.socket(fileno=copied)
