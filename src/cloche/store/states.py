"""The state of files and folders by `stat` alone, as a text that changes whenever they do."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cloche.artifacts import digest_of, encode
from cloche.store.index import is_settled, stat_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ABSENT, _FOLDER = "absent", "folder"


class UnsettledError(Exception):
    """What is there may change once more with the same `stat`, or cannot be told by one."""


def state_of(path: Path) -> str:
    """Return the state of a file, or of a folder with all below it; raises UnsettledError."""
    return _digest([["", _state(path)], *(_below(path) if path.is_dir() else ())])


def state_beside(path: Path) -> str:
    """Return the state of a file and of those in its folder, of folders there the names alone.

    Raises UnsettledError.
    """
    return _digest([["", _state(path)], *_entries(path.parent)])


def _digest(states: list[list[str]]) -> str:
    # Of names that are not UTF-8, too.
    return digest_of(encode(sorted([ascii(name), state] for name, state in states)))


def _below(folder: Path) -> Iterator[list[str]]:
    for name, state in _entries(folder):
        yield [name, state]
        if state == _FOLDER:
            for below, known in _below(folder / name):
                yield [f"{name}/{below}", known]


def _entries(folder: Path) -> Iterator[list[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield [entry.name, _FOLDER]
                elif entry.is_symlink() and entry.is_dir():
                    raise UnsettledError  # what is below it is looked at by its own name alone
                else:
                    yield [entry.name, _state(folder / entry.name)]
    except OSError as error:
        raise UnsettledError from error


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return _ABSENT
    except OSError as error:
        raise UnsettledError from error
    if stat.S_ISDIR(status.st_mode):
        return _FOLDER
    if not is_settled(status):
        raise UnsettledError
    return stat_key(status)
