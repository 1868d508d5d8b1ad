"""Unpacks the wheels of a lock into a folder, for any Linux: what an image holds of an environment.

Nothing of it depends on this machine. Programs of the packages are left out: each names the Python
that installed it, and a server starts none of them.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import pytorch, uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTALL_SECONDS = 3000.0
_PROGRAMS = "bin"
_NEWEST_GLIBC = (2, 40)
"""The newest C library that uv has a name for; wheels for it run on newer ones."""
_OF_THE_INSTALLER = ("INSTALLER", "REQUESTED", "uv_cache.json", "direct_url.json")
_NO_WHEEL = re.compile(r"no wheels? with a matching|no usable wheels|not compatible", re.IGNORECASE)


def unpack(
    text: str,
    folder: Path,
    *,
    python: str,
    architecture: str,
    glibc: str,
    environment: Mapping[str, str],
) -> None:
    """Unpack the packages of a lock's text into a new folder, as they lie in `site-packages`.

    `python` is `3.11`, `architecture` `x86_64` or `aarch64`, `glibc` the version of the C library
    that they will run on (`2.36`). Raises `environment.platform` where a package has no wheel for
    these, and the errors of `uv.run`.
    """
    with tempfile.TemporaryDirectory(prefix="cloche-unpack-") as work:
        requirements = Path(work) / "requirements.lock"
        requirements.write_text(text, encoding="utf-8")
        major, minor = min(_NEWEST_GLIBC, tuple(map(int, glibc.split(".")[:2])))
        platform = f"{architecture}-manylinux_{major}_{minor}"
        arguments = [
            "pip", "install", "--target", str(folder), "--python-version", python,
            "--python-platform", platform, "--no-deps", "--require-hashes",
            "--only-binary", ":all:", "--no-compile-bytecode", "--no-python-downloads",
            "--requirements", str(requirements),
        ]  # fmt: skip
        try:
            uv.run(
                arguments,
                environment=pytorch.installing(environment),
                folder=Path(work),
                timeout=_INSTALL_SECONDS,
            )
        except uv.UvError as error:
            raise _explained(error, python, platform) from error
    _normalize(folder)


def _explained(error: uv.UvError, python: str, platform: str) -> ClocheError:
    if not _NO_WHEEL.search(error.what):
        return error
    return ClocheError(
        "environment.platform",
        f"A package has no wheel for Python {python} on {platform}. {error.what}",
        hint="Ask for a version of it that has one, or build for a platform that it supports.",
    )


def _normalize(folder: Path) -> None:
    """Remove what depends on this machine or on the installer."""
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
