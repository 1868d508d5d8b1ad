"""Moves this process into namespaces of its own: no network, and other folders (namespaces(7)).

Root may make them; other users as far as the kernel lets them make one of users first. This has to
come before any thread. Needs the standard library alone. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000  # CLONE_NEW*
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _SLAVE = 0x1, 0x20, 0x1000, 0x4000, 0x80000  # MS_*
SHARED_MEMORY = "/dev/shm"  # noqa: S108
_OF_KERNEL = (
    "/proc/acpi", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/mtrr", "/proc/scsi", "/proc/sys",
    "/proc/sysrq-trigger",
)  # fmt: skip
"""What root changes the machine by, as container engines close it."""
_SAME_FLAGS = 0x2 | 0x4 | 0x8 | 0x400 | 0x800
"""What statvfs(3) and mount(2) write in the same bits: nosuid, nodev, noexec, times of access."""
_IS_RELATIVE, _RELATIVE_TIMES = 0x1000, 1 << 21
_EMPTY = b"size=1m,mode=755"


def leave_network() -> bool:
    """Leave the network for one that has nothing; return whether that worked."""
    return _tried(lambda: _move(_NEW_NETWORK)) and _move(_NEW_NETWORK)


def hide(roots: Mapping[str, str | None], read: Iterable[str], write: Iterable[str] = ()) -> bool:
    """Hide what is beneath roots, but for what is read or written; return whether that worked.

    In the place of a root is the folder that it is mapped to, or an empty one, to which only shared
    memory can be written.
    """
    needed = {**dict.fromkeys(read, False), **dict.fromkeys(write, True)}
    kept = {path: changes for path, changes in needed.items() if _is_kept(path, roots)}
    return _tried(lambda: _hide(roots, kept)) and _hide(roots, kept)


def _hide(roots: Mapping[str, str | None], needed: dict[str, bool]) -> bool:
    if not _move(_NEW_MOUNTS):
        return False
    try:
        # What the machine mounts from now on is seen here, but not the other way round.
        _mount("none", "/", None, _RECURSIVE | _SLAVE)
        opened = [(path, _open(path)) for path in needed]
        _cover(roots)
        for path, file in sorted(opened):
            _show(path, file, changes=needed[path])
            os.close(file)
        _keep_kernel()
        for root, place in roots.items():
            if place is None and root != SHARED_MEMORY and os.path.isdir(root):  # noqa: PTH112
                _mount("none", root, None, _REMOUNT | _READ_ONLY, _EMPTY)
    except OSError:
        return False
    return True


def _cover(roots: Mapping[str, str | None]) -> None:
    """Mount something else on each root."""
    places = {path: _open(path) for path in roots.values() if path is not None}
    for root, place in roots.items():
        if not os.path.isdir(root):  # noqa: PTH112
            _mount("/dev/null", root, None, _BIND)
        elif place is None:
            _mount("none", root, "tmpfs", 0, _size(root))
        else:
            _mount(f"/proc/self/fd/{places[place]}", root, None, _BIND | _RECURSIVE)
    for file in places.values():
        os.close(file)


def _show(path: str, file: int, *, changes: bool) -> None:
    """Mount what was opened at its own path, which is covered."""
    _make_place(path, file)
    _mount(f"/proc/self/fd/{file}", path, None, _BIND | _RECURSIVE)
    if not changes:
        _mount("none", path, None, _REMOUNT | _BIND | _READ_ONLY | _flags(file))


def _keep_kernel() -> None:
    """Make what changes the machine read-only to root: it is another user's to everybody else."""
    for path in _OF_KERNEL if os.geteuid() == 0 else ():
        if os.path.exists(path):  # noqa: PTH110
            _mount(path, path, None, _BIND | _RECURSIVE)
            file = _open(path)
            _mount("none", path, None, _REMOUNT | _BIND | _READ_ONLY | _flags(file))
            os.close(file)


def _size(root: str) -> bytes:
    """Return the options of an empty folder; that of shared memory is as large as the former."""
    if root != SHARED_MEMORY:
        return _EMPTY
    former = os.statvfs(root)
    return b"size=%d,mode=1777" % (former.f_blocks * former.f_frsize)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _flags(file: int) -> int:
    """Return the flags of a mount that have to stay when it becomes read-only."""
    flags = os.fstatvfs(file).f_flag
    return (flags & _SAME_FLAGS) | (_RELATIVE_TIMES if flags & _IS_RELATIVE else 0)


def _make_place(path: str, file: int) -> None:
    """Make what a file or folder can be mounted on."""
    folder = os.path.isdir(f"/proc/self/fd/{file}")  # noqa: PTH112
    os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    if not folder and not os.path.lexists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _mount(
    source: str, place: str, kind: str | None, flags: int, data: bytes | None = None
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    kind_name = None if kind is None else kind.encode()
    done = libc.mount(os.fsencode(source), os.fsencode(place), kind_name, flags, data)
    if done != 0:
        raise OSError(ctypes.get_errno(), "mount", place)


def _move(kind: int) -> bool:
    """Move into a new namespace of a kind; without the right to, into one of users first."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "unshare"):
        return False
    if libc.unshare(kind) == 0:
        return True
    if libc.unshare(_NEW_USER | kind) != 0:
        return False
    try:
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):  # fmt: skip
            with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:  # noqa: PTH123
                file.write(text)
    except OSError:
        return False
    return True


def _tried(action: Callable[[], bool]) -> bool:
    """Return whether an action works in a child: half done, it would leave a process nobody's."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if action() else 1)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _is_kept(path: str, roots: Iterable[str]) -> bool:
    beneath = any(path == root or path.startswith(root + "/") for root in roots)
    return beneath and os.path.exists(path)  # noqa: PTH110
