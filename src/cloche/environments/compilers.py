"""Which Python writes the bytecode of an image, so that every machine writes the same.

A compiler's output changes between patch releases: 3.11.2 and 3.11.7 differ in a few files. So one
release of each version writes the bytecode of all images, whichever Python a machine has by chance;
every other release of that version runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.environments import interpreters, uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RELEASES = {
    "3.8": "3.8.20",
    "3.9": "3.9.25",
    "3.10": "3.10.12",
    "3.11": "3.11.2",
    "3.12": "3.12.3",
    "3.13": "3.13.9",
}
"""The release for each version: that of Ubuntu 22.04, Debian 12 and Ubuntu 24.04, which servers'
bases have, else the last one when this was written. A change here counts as one of the bytecode."""
_DOWNLOAD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Compiler:
    """A Python that writes bytecode."""

    release: str
    """`3.11.2`"""
    command: tuple[str, ...]
    """What starts it; the arguments of Python follow."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that it needs."""

    @property
    def is_chosen(self) -> bool:
        """Return whether it is the release whose bytecode every machine writes."""
        return self.release == RELEASES.get(self.release.rpartition(".")[0])


def installed(python: str, environment: Mapping[str, str], folder: Path) -> Compiler | None:
    """Return a compiler for a version (`3.11`) that is on this machine, the chosen one first."""
    found: Compiler | None = None
    for path, release in interpreters.installed(python, environment, folder):
        each = Compiler(release, (str(path),))
        if each.is_chosen:
            return each
        found = found or each
    return found


def downloaded(python: str, environment: Mapping[str, str], folder: Path) -> Compiler | None:
    """Return the chosen compiler for a version once uv has fetched it; None if it cannot."""
    release = RELEASES.get(python, python)
    try:
        arguments = ["python", "install", release]
        uv.run(arguments, environment=environment, folder=folder, timeout=_DOWNLOAD_SECONDS)
    except ClocheError:
        return None
    return installed(python, environment, folder)


def missing(python: str) -> ClocheError:
    """Return the error for a version that is not there and cannot be fetched."""
    return ClocheError(
        "environment.python",
        f"No CPython {python} was found on this machine to compile the packages, and none could be"
        " downloaded.",
        hint=f"Install one (with uv: `uv python install {RELEASES.get(python, python)}`) and run"
        " the command again.",
        retriable=True,
    )
