"""Run by the Python that builds a package: starts its build with limits, apart from the machine.

    python build_script.py WALLS PROGRAM ARGUMENT…

A package's build is code of its author. WALLS is a JSON object: the build reads nothing but the
files of `read` and `folder`, and writes nowhere but in `folder` (Landlock, landlock(7)), so that it
sees no home, no secret, and no environment of another process. It gets no network, nor the sockets
of services in /run, where the kernel lets a user take them away (namespaces of Linux), and can fill
neither disk nor memory. What could not be closed is written to `open`. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
_PRIVATE = 0x44000
"""MS_REC and MS_PRIVATE of mount(2)."""
_SERVICES = "/run"
_LIMITS = (
    (resource.RLIMIT_AS, 16 * 2**30),
    (resource.RLIMIT_FSIZE, 4 * 2**30),
    (resource.RLIMIT_CPU, 2 * 3600),
    (resource.RLIMIT_CORE, 0),
)
"""Bytes of memory, of a file, seconds of a process, bytes of a dump."""

_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_GET_VERSION = _PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_SCOPES = 0b11
"""Abstract sockets and signals stay within (LANDLOCK_SCOPE_*)."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "shm")


def main(walls: dict[str, Any], command: list[str]) -> None:
    os.umask(0o022)
    closed = {"network": leave_network(), "files": close_files(walls["folder"], walls["read"])}
    left = [what for what, is_closed in closed.items() if not is_closed]
    Path(walls["open"]).write_text(json.dumps(left), encoding="ascii")
    for kind, wanted in _LIMITS:
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (most, most))
    os.execv(command[0], command)  # noqa: S606 - the caller's own words


def leave_network() -> bool:
    """Leave the network and hide the sockets of services; return whether the first worked."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None)
    if libc.unshare(_NEW_NETWORK | _NEW_MOUNTS) != 0:  # root alone may
        if libc.unshare(_NEW_USER | _NEW_NETWORK | _NEW_MOUNTS) != 0:
            return False
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):  # fmt: skip
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    # Sockets with a path are of no network. Where this fails, they are closed to other users.
    if libc.mount(b"none", b"/", None, _PRIVATE, None) == 0:
        libc.mount(b"none", _SERVICES.encode(), b"tmpfs", 0, b"size=0,mode=555")
    return True


def close_files(folder: str, read: list[str]) -> bool:
    """Give up the right to all files but these; return whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    if version < 1:
        return False
    everything = (1 << 13) - 1
    everything |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQQ", everything, 0, _SCOPES if version >= 6 else 0)
    rules = libc.syscall(_CREATE_RULESET, attributes, 24 if version >= 6 else 8, 0)
    if rules < 0:
        return False
    for path in read:
        _allow(libc, rules, path, _EXECUTE | _READ_FILE | _READ_FOLDER)
    for name in _DEVICES:
        _allow(libc, rules, f"/dev/{name}", everything)
    _allow(libc, rules, folder, everything)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    closed = libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return bool(closed)


def _allow(libc: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not every machine has each of them
        return
    if not os.path.isdir(path):  # noqa: PTH112
        access &= _OF_FILES
    libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, beneath), 0)
    os.close(beneath)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
