"""The file with the record of a server: written now, or as soon as the disk has room.

Nothing that runs waits for it. It is read by whoever takes over later: a server that it does not
name is found by its marker then, and replaced.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.targets.local import records

if TYPE_CHECKING:
    from pathlib import Path

_RETRY = 1.0
_log = logging.getLogger(__name__)


class RecordFile:
    """Keeps the record of one server; `reserve` is given up for it on a full disk."""

    def __init__(self, path: Path, reserve: Path) -> None:
        self._path = path
        self._reserve = reserve
        self.is_behind = False
        """Whether the record could not be written when it changed last."""

    def begin(self, record: object) -> None:
        """Write the first record; raises ClocheError if the file is new and cannot be written."""
        if self._path.is_file():
            self.write(record)
        else:
            records.save(self._path, record, reserve=self._reserve)

    def write(self, record: object) -> None:
        """Write a record, or leave that to `catch_up`."""
        try:
            records.save(self._path, record, reserve=self._reserve)
        except ClocheError as error:
            if not self.is_behind:
                _log.warning("%s: %s", self._path.stem, error.what)
            self.is_behind = True
        else:
            self.is_behind = False

    def catch_up(self, record: object) -> None:
        """Write a record that could not be written before."""
        if self.is_behind:
            self.write(record)

    def pause(self, until_look: float | None) -> float | None:
        """Return the seconds until the next look (None: until something happens), or to a retry."""
        if not self.is_behind:
            return until_look
        return _RETRY if until_look is None else min(until_look, _RETRY)

    def remove(self) -> None:
        """Remove the file: the server has ended for good."""
        self._path.unlink(missing_ok=True)
        self.is_behind = False
