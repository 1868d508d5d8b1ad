"""Scanning a file, or the files of a snapshot."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from cloche.pickles.contents import read_content
from cloche.pickles.found import Found
from cloche.pickles.streams import Content, Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.pickles.scan import Scan


def scan(path: Path) -> Scan:
    """Return what loading a file as a pickle, or as an archive with pickles, would import.

    Nothing is loaded. Whatever the file is, nothing is raised: what cannot be read is a problem,
    and a file of no known kind, too.
    """
    return _scan(path, path.name, strict=True)


def scan_files(files: Mapping[str, Path]) -> dict[str, Scan]:
    """Return the scan of each file that holds pickles or asks for code, by path in the snapshot.

    Files of other kinds are left out, however they are named. Code that a configuration asks for is
    a problem of the configuration.
    """
    scans = {name: _scan(path, name, strict=False) for name, path in sorted(files.items())}
    return {name: scan for name, scan in scans.items() if scan.pickles or scan.findings}


def scan_folder(folder: Path) -> dict[str, Scan]:
    """Return the scans of the files in a folder, see `scan_files`; links are not followed."""
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return scan_files({
        path.relative_to(folder).as_posix(): path
        for path in paths
        if path.is_file() and not path.is_symlink()
    })  # fmt: skip


def _scan(path: Path, place: str, *, strict: bool) -> Scan:
    found = Found()
    try:
        # Opening a pipe would wait for whoever writes to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable("It is no file.")
        path.open("rb").close()
    except OSError as error:
        found.finding("pickle.unreadable", f"Cannot read it: {error.strerror}.", place)
        return found.scan()
    except Unreadable as problem:
        found.unreadable(problem, place)
        return found.scan()
    read_content(Content(place, lambda: cast("BinaryIO", path.open("rb")), strict=strict), found)
    return found.scan()
