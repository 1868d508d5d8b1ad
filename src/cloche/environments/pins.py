"""The packages of a lock, read from what `uv pip compile` prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.environments.requirements import name_of
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Pin:
    """One package: its version or address, and the digests of its files."""

    requirement: str
    """`torch==2.15.0` or `torch @ https://…`"""
    digests: tuple[str, ...]
    asked_by: frozenset[str] = frozenset()
    """The packages that depend on it; what the model itself asks for is not among them."""
    index: str | None = None
    """The address of the index that it comes from; None if it was asked for by an address."""

    @property
    def name(self) -> str:
        """Return the package's normalised name."""
        return name_of(self.requirement)

    def __str__(self) -> str:
        return " \\\n    --hash=".join([self.requirement, *self.digests])


def parse(compiled: str, allowed: Mapping[str, frozenset[str]]) -> tuple[Pin, ...]:
    """Return the packages of uv's lines, with the digests that the model allows, by name.

    Raises ClocheError `environment.unhashed` and `environment.digest`.
    """
    lines = [line for line in compiled.splitlines() if line[:1] not in {"", "#", "-"}]
    entries = [_entry(entry) for entry in re.split(r"\n(?=\S)", "\n".join(lines)) if entry]
    names = {pin.name for pin in entries}
    unhashed = [pin.requirement for pin in entries if not pin.digests]
    if unhashed:
        raise ClocheError(
            "environment.unhashed",
            f"{', '.join(unhashed)} cannot be locked: the package index has no digest for it.",
            where="requirements.txt",
            hint="Name released versions of these packages.",
        )
    # Files that ask for a package are named like packages, but for their suffix.
    pins = [replace(pin, asked_by=pin.asked_by & names) for pin in entries]
    return tuple(_with_allowed(pin, allowed.get(pin.name)) for pin in pins)


def _entry(text: str) -> Pin:
    """Return the package of one entry, with the annotations of uv, each on a line."""
    head, *more = re.split(r"\s*\\?\n\s+", text)
    digests = tuple(line.removeprefix("--hash=") for line in more if line.startswith("--hash="))
    asking = [line.removeprefix("# via ") for line in more if line.startswith("# via ")]
    indexes = [line.removeprefix("# from ") for line in more if line.startswith("# from ")]
    asked_by = frozenset(", ".join(asking).split(", "))
    return Pin(head.strip(), digests, asked_by, indexes[0] if indexes else None)


def _with_allowed(pin: Pin, allowed: frozenset[str] | None) -> Pin:
    """Return a package with the digests that its requirement allows; uv lists all of a release."""
    if allowed is None:
        return pin
    kept = tuple(digest for digest in pin.digests if digest in allowed)
    if not kept:
        raise ClocheError(
            "environment.digest",
            f"The package index has {pin.requirement} with other digests than the model recorded.",
            where="requirements.txt",
            hint="The files of this release were changed, or the index is another one. Check which,"
            " and record the digests again.",
        )
    return replace(pin, digests=kept)
