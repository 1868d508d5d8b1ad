"""What a registry asks for with 401: the header WWW-Authenticate (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TOKEN = r"[\w!#$%&'*+.^`|~-]+"  # noqa: S105 - a token of HTTP's grammar
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))', re.ASCII)
_SCHEME = re.compile(rf"({_TOKEN})(?=\s|,|$)", re.ASCII)
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in: its scheme (`bearer`, `basic`), and its parameters by lower-case name."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all headers of an answer; what follows a mistake is left out."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> Iterator[Challenge]:
    current, position = None, 0
    while (position := _end_of(_BETWEEN, header, position)) < len(header):
        if current is not None and (match := _PARAMETER.match(header, position)):
            quoted, plain = match[2], match[3]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            current.parameters.setdefault(match[1].lower(), value)
        elif match := _SCHEME.match(header, position):
            if current is not None:
                yield current
            current = Challenge(match[1].lower())
        else:
            break
        position = match.end()
    if current is not None:
        yield current


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
