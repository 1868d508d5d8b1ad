"""Log files that servers write themselves, bounded in size and read by many.

A server holds its log open in append mode for as long as it runs, also while Cloche does not, so
the file cannot be renamed away from it. It is bounded from outside instead: beyond its limit it is
copied to `NAME.log.1`, which replaces the copy before it, and cut to nothing. What is written
between the last copied byte and the cut, a few microseconds, is lost.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LIMIT = 16 * 2**20
"""Bytes of a log before it is copied and cut; on disk a server has a few times this at most."""
_BLOCK = 1 << 16
_SILENCE = 1.0
_LOOKED_AT = 300
_LAST_WORDS = 20
_LINE = 2000
_ROUTINE = re.compile(r"\S+ I \d+ ")
"""How a line of Triton's log begins (ISO8601 format) that is neither a warning nor an error."""
_KEPT = 40
"""Logs of replicas that are gone, newest first."""


def older(log: Path) -> Path:
    """Return where the earlier part of a log is kept."""
    return log.with_name(log.name + ".1")


def bound(log: Path, limit: int = LIMIT) -> None:
    """Copy and cut a log that has grown beyond `limit` bytes."""
    try:
        if log.stat().st_size <= limit:
            return
    except FileNotFoundError:
        return
    partial = log.with_name(log.name + ".partial")
    with log.open("rb+", buffering=0) as source, partial.open("wb", buffering=0) as copy:
        # Of a log that outgrew the limit by far the end is worth more than the disk it takes.
        source.seek(max(0, os.fstat(source.fileno()).st_size - 2 * limit))
        while copy.tell() <= 2 * limit and (block := source.read(_BLOCK)):
            copy.write(block)
        source.truncate(0)
    partial.replace(older(log))


def tail(log: Path, lines: int, *, start: int = 0) -> tuple[str, ...]:
    """Return the last lines of a log, reaching back into its earlier part where there is one.

    `start` is an offset into the log: only what was written after it counts.
    """
    if lines <= 0:
        return ()
    found = _last_lines(log, lines, start)
    if len(found) < lines and start == 0:
        found = _last_lines(older(log), lines - len(found), 0) + found
    return tuple(found)


def last_words(log: Path, *, start: int) -> tuple[str, ...]:
    """Return the lines written since `start` that may tell why a server ended, 20 at most.

    Left out are empty lines, the tables that Triton prints after an error, which would push it out
    of sight, and the routine of its log where there is anything else.
    """
    found = [line for line in tail(log, _LOOKED_AT, start=start) if line.strip(" |+-")]
    words = [line for line in found if not line.startswith(("|", "+--"))]
    telling = [line for line in words if _ROUTINE.match(line) is None] or words
    return tuple(line[:_LINE] for line in telling[-_LAST_WORDS:])


def size(log: Path) -> int:
    """Return the bytes of a log, 0 when there is none."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def follow(
    logs: Callable[[], Mapping[str, Path]], *, lines: int, every: float = 0.25
) -> Iterator[tuple[str, str]]:
    """Yield `(name, line)` of the last lines of each log, and then new ones until it is closed.

    `logs` is asked each time round, so that replicas that come later are followed too. After a
    second with no line comes `("", "")`, so that a reader who has gone is noticed.
    """
    readers: dict[str, _Reader] = {}
    for name, log in logs().items():
        readers[name] = _Reader(log, size(log))
        yield from ((name, line) for line in tail(log, lines))
    spoken = time.monotonic()
    while True:
        for name, log in logs().items():
            reader = readers.setdefault(name, _Reader(log, 0))
            for line in reader.read():
                yield name, line
                spoken = time.monotonic()
        if time.monotonic() - spoken >= _SILENCE:
            yield "", ""
            spoken = time.monotonic()
        time.sleep(every)


def remove(log: Path) -> None:
    """Remove a log and its earlier part."""
    log.unlink(missing_ok=True)
    older(log).unlink(missing_ok=True)


def clean(folder: Path, keep: set[str], kept: int = _KEPT) -> None:
    """Remove the oldest logs of replicas that are gone; `keep` names those that are not."""
    gone = [log for log in folder.glob("*-r*-*.log") if log.stem not in keep]
    gone.sort(key=lambda log: log.stat().st_mtime, reverse=True)
    for log in gone[kept:]:
        remove(log)


class _Reader:
    """Reads on in a log from where it was, also across a cut."""

    def __init__(self, log: Path, offset: int) -> None:
        self._log = log
        self._offset = offset
        self._rest = b""
        self._copy = _identity(older(log))

    def read(self) -> Iterator[str]:
        # A new copy means that the log was cut, however long it has become again since.
        copy = _identity(older(self._log))
        if copy != self._copy:
            self._copy = copy
            yield from self._lines(older(self._log))
            self._offset = 0
        yield from self._lines(self._log)

    def _lines(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        self._offset += len(data)
        *complete, self._rest = (self._rest + data).split(b"\n")
        yield from (_text(line) for line in complete)


def _last_lines(path: Path, lines: int, start: int) -> list[str]:
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            # A log that was cut is shorter than where this start began.
            start = start if start <= position else 0
            data = b""
            while position > start and data.count(b"\n") <= lines:
                step = min(_BLOCK, position - start)
                position -= step
                file.seek(position)
                data = file.read(step) + data
    except FileNotFoundError:
        return []
    return [_text(line) for line in data.splitlines()[-lines:]]


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return status.st_ino, status.st_mtime_ns


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
