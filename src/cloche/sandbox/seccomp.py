"""Gives up the right to make sockets of a network, where there are no namespaces (seccomp(2)).

Needs the standard library alone, and no right of root. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # of prctl(2)
_SYSTEMS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""AUDIT_ARCH_*, and the number of socket(2)."""
_IO_URING_SETUP = 425
"""It makes sockets past this filter."""
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_*
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
_LOCAL = (1, 16)
"""AF_UNIX, and AF_NETLINK, by which the kernel is asked."""


def leave_network() -> bool:
    """Give up all sockets but local ones; return whether that worked."""
    system = _SYSTEMS.get(os.uname().machine)
    if system is None or not sys.platform.startswith("linux"):
        return False
    architecture, socket = system
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 9, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 7, 0, _X32),
        (_EQUAL, 6, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 4, socket),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 2, 0, _LOCAL[0]),
        (_EQUAL, 1, 0, _LOCAL[1]),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = b"".join(struct.pack("=HBBI", kind, yes, no, value) for kind, yes, no, value in steps)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(steps), ctypes.addressof(held))
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.prctl(_SET_SECCOMP, _FILTER, program, 0, 0) == 0)
