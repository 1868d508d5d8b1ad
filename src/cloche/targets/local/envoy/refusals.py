"""What Envoy says in its log when it refuses a file; nothing else tells its words.

Envoy keeps what it had and goes on. It refuses a table of routes as a whole.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ENTRY = re.compile(rb"^\[\d{4}-\d\d-\d\d [^\n]*?\]\[\d+\]\[\w+\]", re.MULTILINE)
_REFUSED = "config update rejected: "
_LISTENER = re.compile(r"\blistener|Listener")
_LONGEST = 400
_MOST_READ = 2**20


class EnvoyLog:
    """The log of one Envoy, which it appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self) -> int:
        """Return the bytes written so far, from which `refusals` can read on."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def refusals(self, since: int) -> list[str]:
        """Return why Envoy refused each of the files that it refused since an offset."""
        entries = (_text(entry) for entry in self._entries(since))
        return [_words(text) for text in entries if _REFUSED in text]

    def listener_refusal(self, since: int) -> str | None:
        """Return why Envoy refused its listener, None if it did not."""
        words = [words for words in self.refusals(since) if _LISTENER.search(words)]
        return words[-1] if words else None

    def _entries(self, since: int) -> list[bytes]:
        """Return the entries since an offset, each with all its lines."""
        try:
            with self._path.open("rb") as file:
                end = file.seek(0, 2)
                # The log is truncated when it has become too long.
                start = since if since <= end else 0
                file.seek(max(start, end - _MOST_READ))
                data = file.read()
        except FileNotFoundError:
            return []
        starts = [match.start() for match in _ENTRY.finditer(data)]
        return [data[start:end] for start, end in pairwise([*starts, len(data)])]


class EnvoyLogs:
    """The logs of the processes of one gateway."""

    def __init__(self, each: Sequence[EnvoyLog]) -> None:
        self._each = tuple(each)

    def sizes(self) -> tuple[int, ...]:
        """Return the bytes written so far, from which `refusals` can read on."""
        return tuple(log.size() for log in self._each)

    def refusals(self, since: tuple[int, ...]) -> dict[int, str]:
        """Return, by log, why its process last refused a file since an offset, if it did."""
        found = (log.refusals(start) for log, start in zip(self._each, since, strict=True))
        return {index: words[-1] for index, words in enumerate(found) if words}


def _text(entry: bytes) -> str:
    return entry.decode("utf-8", "replace").strip()


def _words(text: str) -> str:
    """Return the reason in an entry; Envoy may print a whole message before it."""
    reason = text.partition(_REFUSED)[2].splitlines()
    words = reason[0] if len(reason) == 1 else reason[-1].removeprefix(": ")
    words = words.rpartition("caused by ")[2].rstrip(")") if "caused by " in words else words
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
