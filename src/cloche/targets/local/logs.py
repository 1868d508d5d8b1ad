"""Log files that servers write themselves, bounded in size.

A server holds its log open in append mode while it runs, also when Cloche does not, so the file
cannot be renamed. Instead, a log beyond its limit is copied to `NAME.log.1`, which replaces the
former copy, and truncated. What the server writes between the last copied byte and the truncation,
a few microseconds, is lost.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from cloche import files
from cloche.targets.local import start_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from io import FileIO
    from pathlib import Path

LIMIT = 16 * 2**20
"""Bytes of a log before it is truncated; a server uses at most a few times this on disk."""
_BLOCK = 1 << 16
_SILENCE = 1.0
_LINES_SEARCHED = 300
_MOST_LINES = 20
_LINE = 2000
_ROUTINE = re.compile(r"\S+ I \d+ ")
"""The start of a line in Triton's log (ISO8601 format) that is not a warning or an error."""
_GATEWAY = re.compile(r"gateway(-\d+)?")
_FORMER_LOGS = 40
"""How many logs of former replicas are kept, the newest."""


def older(log: Path) -> Path:
    """Return the path of the earlier part of a log."""
    return log.with_name(log.name + ".1")


def bound(log: Path, limit: int = LIMIT) -> None:
    """Copy and truncate a log that is larger than `limit` bytes; on a full disk, without a copy."""
    try:
        if log.stat().st_size <= limit:
            return
    except FileNotFoundError:
        return
    partial = log.with_name(log.name + ".partial")
    with log.open("rb+", buffering=0) as source:
        try:
            _copy_end(source, partial, limit)
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno not in files.FULL:
                raise
            source.truncate(0)
            return
        source.truncate(0)
    partial.replace(older(log))


def _copy_end(source: FileIO, partial: Path, limit: int) -> None:
    """Copy a log; of one far beyond the limit only the end."""
    with partial.open("wb", buffering=0) as copy:
        source.seek(max(0, os.fstat(source.fileno()).st_size - 2 * limit))
        while copy.tell() <= 2 * limit and (block := source.read(_BLOCK)):
            files.write_all(copy.fileno(), block)


def tail(log: Path, lines: int, *, start: int = 0) -> tuple[str, ...]:
    """Return the last lines of a log, including its earlier part.

    With `start`, an offset in bytes, only lines written after it are returned.
    """
    if lines <= 0:
        return ()
    last = _last_lines(log, lines, start)
    if len(last) < lines and start == 0:
        last = _last_lines(older(log), lines - len(last), 0) + last
    return tuple(last)


def shown_tail(log: Path, lines: int) -> tuple[str, ...]:
    """Return the last lines of a log that are shown: without the tables of its server's start."""
    read = lines + start_tables.LINES
    while lines > 0:
        found = tail(log, read)
        shown = tuple(start_tables.without(found))
        # What is read may begin within a table, whose rest is then taken for lines.
        if len(shown) >= lines + start_tables.LINES or len(found) < read:
            return shown[-lines:]
        read *= 2
    return ()


def last_words(log: Path, *, start: int) -> tuple[str, ...]:
    """Return at most 20 lines written since `start` that may tell why a server ended.

    Empty lines are left out, and the tables that Triton prints after an error, since they would
    push the error out. Routine lines are left out if there are others.
    """
    filled = [line for line in tail(log, _LINES_SEARCHED, start=start) if line.strip(" |+-")]
    words = [line for line in filled if not line.startswith(("|", "+--"))]
    telling = [line for line in words if _ROUTINE.match(line) is None] or words
    return tuple(line[:_LINE] for line in telling[-_MOST_LINES:])


def size(log: Path) -> int:
    """Return the size of a log in bytes; 0 if it does not exist."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def follow(
    logs: Callable[[], Mapping[str, Path]], *, lines: int, every: float = 0.25
) -> Iterator[tuple[str, str]]:
    """Yield `(name, line)` of the last lines of each log that are shown, then of new ones.

    `logs` is called each time round, so later replicas are followed too. After a second without a
    line it yields `("", "")`, so that the caller can notice that its reader has gone.
    """
    readers: dict[str, _Reader] = {}
    for name, log in logs().items():
        readers[name] = _Reader(log, size(log))
        yield from ((name, line) for line in shown_tail(log, lines))
    last_yield = time.monotonic()
    while True:
        for name, log in logs().items():
            reader = readers.setdefault(name, _Reader(log, 0))
            for line in reader.shown():
                yield name, line
                last_yield = time.monotonic()
        if time.monotonic() - last_yield >= _SILENCE:
            yield "", ""
            last_yield = time.monotonic()
        time.sleep(every)


def of_service(folder: Path, service: str, placed: Collection[int]) -> dict[str, Path]:
    """Return the logs of revisions by their replicas' names; without them, of the newest one."""
    found = _by_revision(folder, service)
    shown = sorted(set(placed) & found.keys()) or sorted(found)[-1:]
    return {log.stem: log for number in shown for log in found[number]}


def of_revision(folder: Path, service: str, number: int) -> dict[str, Path]:
    """Return the logs of one revision by its replicas' names."""
    return {log.stem: log for log in _by_revision(folder, service).get(number, ())}


def _by_revision(folder: Path, service: str) -> dict[int, list[Path]]:
    pattern = re.compile(rf"{re.escape(service)}-r(\d+)-\d+\.log")
    found: dict[int, list[Path]] = {}
    for log in sorted(folder.glob(f"{service}-r*.log")):
        if match := pattern.fullmatch(log.name):
            found.setdefault(int(match[1]), []).append(log)
    return found


def of_gateway(folder: Path) -> dict[str, Path]:
    """Return the logs of the gateway's processes by their names."""
    found = sorted(log for log in folder.glob("gateway*.log") if _GATEWAY.fullmatch(log.stem))
    return {log.stem: log for log in found}


def remove(log: Path) -> None:
    """Remove a log and its earlier part."""
    log.unlink(missing_ok=True)
    older(log).unlink(missing_ok=True)


def clean(folder: Path, keep: set[str], kept: int = _FORMER_LOGS) -> None:
    """Remove all but the newest `kept` logs of former replicas; `keep` names the current ones."""
    gone = [log for log in folder.glob("*-r*-*.log") if log.stem not in keep]
    gone.sort(key=lambda log: log.stat().st_mtime, reverse=True)
    for log in gone[kept:]:
        remove(log)


class _Reader:
    """Reads a log from an offset on, also across a truncation."""

    def __init__(self, log: Path, offset: int) -> None:
        self._log = log
        self._offset = offset
        self._rest = b""
        self._copy = _identity(older(log))
        self._shown = start_tables.Shown()

    def shown(self) -> Iterator[str]:
        """Yield the new lines that are shown; without new ones, what was held back for them."""
        has_new = False
        for line in self.read():
            has_new = True
            yield from self._shown.lines(line)
        if not has_new:
            yield from self._shown.rest()

    def read(self) -> Iterator[str]:
        # A new copy means that the log was truncated, whatever its size is now.
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
            # A truncated log may be shorter than the offset.
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
