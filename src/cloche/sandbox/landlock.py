"""Gives up the right to files, for good: Landlock of Linux 5.13 and newer (landlock(7)).

Needs the standard library alone, and no right of root. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_GET_VERSION = _PATH_BENEATH = 1
_SCOPES = 0b11
"""Abstract sockets and signals stay within (LANDLOCK_SCOPE_*)."""

EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHARACTER, _MAKE_BLOCK = 1 << 6, 1 << 11
FOLDERS = 1 << 4 | 1 << 7
"""To make folders, and to remove empty ones."""
_REFER, TRUNCATE = 1 << 13, 1 << 14
CHANGE_FILE = WRITE_FILE | TRUNCATE
_BASIC = (1 << 13) - 1
READ = EXECUTE | READ_FILE | READ_FOLDER
WRITE = (_BASIC | _REFER | TRUNCATE) & ~(_MAKE_CHARACTER | _MAKE_BLOCK)
"""Everything but to make a device, by which root would reach a whole disk."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE


def version() -> int:
    """Return the version of the kernel's Landlock; less than 1 if it has none."""
    if not sys.platform.startswith("linux"):
        return 0
    return int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _GET_VERSION))


def restrict(rules: Iterable[tuple[str, int]]) -> bool:
    """Give up all files but those beneath paths, each with its rights; return whether that worked.

    A path that does not exist is left out.
    """
    has, libc = version(), ctypes.CDLL(None)
    if has < 1:
        return False
    handled = _BASIC | (_REFER if has >= 2 else 0) | (TRUNCATE if has >= 3 else 0)
    attributes = struct.pack("=QQQ", handled, 0, _SCOPES if has >= 6 else 0)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, 24 if has >= 6 else 8, 0)
    if ruleset < 0:
        return False
    for path, rights in rules:
        _allow(libc, ruleset, path, rights & handled)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    closed = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(closed)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):  # noqa: PTH112
        rights &= _OF_FILES
    libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    os.close(beneath)
