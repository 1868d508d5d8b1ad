"""Removes from a folder of packages what depends on the machine or on the installer.

    python normalization.py FOLDER

What is left is the same whether uv or pip installed it. Programs of the packages are left out: each
names the Python that installed it, and a server starts none of them.

Builders of images run this file by itself, on any Python from 3.8 on: it imports nothing of Cloche.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
from pathlib import Path

_PROGRAMS = "bin"
_OF_THE_INSTALLER = ("INSTALLER", "REQUESTED", "uv_cache.json", "direct_url.json")


def normalize(folder: Path) -> None:
    """Normalise the packages in a folder."""
    shutil.rmtree(folder / _PROGRAMS, ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for record in sorted(folder.glob("*.dist-info/RECORD")):
        for name in _OF_THE_INSTALLER:
            (record.parent / name).unlink(missing_ok=True)
        # pip reads a file without INSTALLER as its own; the lines have to be those that are here.
        rows = csv.reader(io.StringIO(record.read_text(encoding="utf-8")))
        kept = sorted(row for row in rows if row and (folder / row[0]).exists())
        record.unlink()  # it may be a link into uv's cache
        with record.open("w", encoding="utf-8", newline="") as written:
            csv.writer(written, lineterminator="\n").writerows(kept)


def set_modes(folder: Path) -> None:
    """Let everybody read all, enter folders, and run what its owner may run."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


if __name__ == "__main__":
    normalize(Path(sys.argv[1]))
    set_modes(Path(sys.argv[1]))
