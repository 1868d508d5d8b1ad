"""Run a script apart from the rest of the machine: `isolated.py FOLDER SCRIPT ARGUMENTS…`.

It has no network: the process moves into a network namespace of its own, which has no interface
(unshare(2)); without the right to do so it makes a user namespace first. It writes nowhere but in
FOLDER and sends signals to nobody else (Landlock, landlock(7)). Where the kernel offers neither,
the script runs all the same: a model of the user's own may be loaded anywhere. This has to come
before any import that starts a thread. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import struct
import sys

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_NEW_USER = 0x10000000  # CLONE_NEWUSER
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_GET_VERSION = 1
_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Writing, removing and making of everything (LANDLOCK_ACCESS_FS_*)."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_SCOPES = 0b11
"""Abstract sockets and signals stay within (LANDLOCK_SCOPE_*)."""
_DEVICES = "/dev"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - frameworks share tensors there


def close_network() -> bool:
    """Leave the network; return whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        return False
    return bool(libc.unshare(_NEW_NETWORK) == 0 or libc.unshare(_NEW_USER | _NEW_NETWORK) == 0)


def close_files(folder: str) -> bool:
    """Give up the right to write outside a folder; return whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    if version < 1:
        return False
    access = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQQ", access, 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 8
    rules = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if rules < 0:
        return False
    for path, allowed in ((folder, access), (_SHARED_MEMORY, access), (_DEVICES, _WRITE_FILE)):
        _allow(libc, rules, path, allowed)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    closed = libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return bool(closed)


def _allow(libc: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, beneath), 0)
    os.close(beneath)


if __name__ == "__main__":
    close_network()
    close_files(sys.argv[1])
    sys.argv = sys.argv[2:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))  # noqa: PTH100, PTH120
    runpy.run_path(sys.argv[0], run_name="__main__")
