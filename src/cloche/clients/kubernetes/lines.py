"""Lines out of a stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def lines_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the lines without their ends; only `\n` ends one, and the last may have none."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    if rest:
        yield rest
