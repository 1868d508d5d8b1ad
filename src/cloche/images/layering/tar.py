"""Tar streams with fixed times, owners and modes: the same files give the same bytes.

The format is POSIX.1-2001 (pax): long names, names that are not ASCII, and sizes of 8 GiB and more
get an extended header.
"""

from __future__ import annotations

import tarfile

from cloche.store.disk import STAMP_NS

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""Two blocks of zeros end a stream."""
STAMP = STAMP_NS // 10**9


def file_header(path: str, size: int, *, executable: bool = False) -> bytes:
    """Return the header of a file of `size` bytes."""
    return _header(path, tarfile.REGTYPE, 0o755 if executable else 0o644, size)


def folder_header(path: str, *, shared: bool = False) -> bytes:
    """Return the header of a folder; everyone may make files in a shared one, as in /tmp."""
    return _header(path, tarfile.DIRTYPE, 0o1777 if shared else 0o755, 0)


def link_header(path: str, target: str) -> bytes:
    """Return the header of a symbolic link."""
    return _header(path, tarfile.SYMTYPE, 0o777, 0, target)


def padding(size: int) -> int:
    """Return the number of zeros that fill the last block of `size` bytes."""
    return -size % BLOCK


def _header(path: str, kind: bytes, mode: int, size: int, target: str = "") -> bytes:
    # Root owns everything, so that a server that runs as another user cannot change its own files.
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.size, member.mtime = kind, mode, size, STAMP
    member.linkname = target
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
