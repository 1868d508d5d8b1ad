"""Chooses the Python that writes the bytecode of a layer."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.environments import compilers
from cloche.errors import ClocheError
from cloche.images import platforms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.environments.compilers import Compiler
    from cloche.progress import Progress
    from cloche.store import Store


@dataclass(frozen=True, slots=True)
class Sources:
    """Where what is not on this machine comes from: Debian's mirror, and the user's environment.

    uv takes index, proxy and certificates from `environment`.
    """

    mirror: str
    environment: Mapping[str, str]


def choose(
    python: str, folder: Path, store: Store, sources: Sources, progress: Progress
) -> Compiler:
    """Return the compiler for a version (`3.11`), which may be laid out in a new `folder`.

    It is the release that every machine takes: of this machine, Debian's own, or fetched by uv.
    Where none of them can be had, another release of this machine is taken. Raises ClocheError
    `environment.python` if there is none.
    """
    folder.mkdir(parents=True)
    installed = compilers.installed(python, sources.environment, folder)
    if installed is not None and installed.is_chosen:
        return installed
    from cloche.images.bases.debian import interpreter, packages

    if python == packages.PYTHON and sys.platform == "linux":
        architecture = platforms.here().architecture
        with suppress(ClocheError):  # no mirror is reached, or it is not made for this machine
            return interpreter.lay_out(folder, architecture, store, sources.mirror, progress)
    found = compilers.downloaded(python, sources.environment, folder) or installed
    if found is None:
        raise compilers.missing(python)
    return found
