"""Run by the Python that builds a package: starts its build with limits and without a network.

    python build_script.py PROGRAM ARGUMENT…

A package's build is code of its author. It gets no network where the kernel lets a user take it
away (namespaces of Linux), and can fill neither disk nor memory.
"""

import ctypes
import os
import resource
import sys
from pathlib import Path

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_LIMITS = (
    (resource.RLIMIT_AS, 16 * 2**30),
    (resource.RLIMIT_FSIZE, 4 * 2**30),
    (resource.RLIMIT_CPU, 2 * 3600),
    (resource.RLIMIT_CORE, 0),
)
"""Bytes of memory, of a file, seconds of a process, bytes of a dump."""


def main(command: list[str]) -> None:
    os.umask(0o022)
    leave_network()
    for kind, wanted in _LIMITS:
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (most, most))
    os.execv(command[0], command)  # noqa: S606 - the caller's own words


def leave_network() -> None:
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None)
    if libc.unshare(_NEW_NETWORK) == 0:  # root
        return
    if libc.unshare(_NEW_USER | _NEW_NETWORK) == 0:
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):  # fmt: skip
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
