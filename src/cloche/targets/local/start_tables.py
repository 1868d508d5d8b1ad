"""The tables that Triton prints when it starts, left out of what is shown of a log.

Its options, backends and agents are as wide as the longest path in them, and the same for every
replica. The table of its models stays: it has the reason of a model that did not load. A table is

    2024-10-01T00:00:00Z I 16356 tritonserver.cc:2598]
    +--------+-------+
    | Option | Value |
    …
    +--------+-------+

and an empty line. What a model prints is never left out: its tables have no such first line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINES = 64
"""More lines than such a table has."""
_BEGINS = re.compile(r"\S+ I \d+ (triton)?server\.cc:\d+\] ?")
_RULE = re.compile(r"\+[-+]+\+")
_LEFT_OUT = re.compile(r"\| (Option|Backend|Repository Agent) +\|")


class Shown:
    """Chooses the lines of one log that are shown, as they come."""

    def __init__(self) -> None:
        self._held: list[str] = []
        """The first lines of what may be a table."""
        self._within = False

    def lines(self, line: str) -> Iterator[str]:
        """Yield what is shown once this line has come."""
        if self._within:
            if line.startswith(("|", "+")):
                return
            self._within = False
            if not line:
                return
        expected = (_BEGINS, _RULE, _LEFT_OUT)[len(self._held)]
        if expected is _LEFT_OUT and expected.match(line):
            self._held, self._within = [], True
        elif expected is not _LEFT_OUT and expected.fullmatch(line):
            self._held.append(line)
        else:
            yield from self.rest()
            if _BEGINS.fullmatch(line):
                self._held.append(line)
            else:
                yield line

    def rest(self) -> Iterator[str]:
        """Yield what was held back: no further line has come."""
        held, self._held = self._held, []
        yield from held


def without(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that are shown of some lines of a log."""
    shown = Shown()
    for line in lines:
        yield from shown.lines(line)
    yield from shown.rest()
