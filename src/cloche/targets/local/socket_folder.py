"""Folders for Unix sockets, which only their user can enter."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path

from cloche.errors import UnavailableError

_PATH_LIMIT = 100
"""`sun_path` holds 108 bytes (unix(7)); the rest is left for the servers."""


def place(folder: Path, longest: int) -> Path:
    """Return the folder in which the sockets of `folder` are; a name has up to `longest` bytes.

    It is the folder itself or, if paths in it are too long for a socket, one of this user under the
    system's temporary folder.
    """
    if len(os.fsencode(folder)) + 1 + longest <= _PATH_LIMIT:
        return folder
    return _of_user() / sha256(os.fsencode(folder)).hexdigest()[:16]


def make(folder: Path) -> None:
    """Make a folder that `place` returned.

    Raises UnavailableError `target.local.socket_folder` if it belongs to another user.
    """
    if folder.parent == _of_user():
        _make_private(folder.parent)
    _make_private(folder)


def _of_user() -> Path:
    return Path(tempfile.gettempdir()) / f"cloche-{os.getuid()}"


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise UnavailableError(
            "target.local.socket_folder",
            "The folder for sockets of servers belongs to another user.",
            where=str(folder),
            hint="Use a shorter CLOCHE_HOME.",
        )
    if status.st_mode & 0o077:
        folder.chmod(0o700)
