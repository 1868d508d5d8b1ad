"""Unpacks the wheels of a lock into a folder, for any Linux: what an image holds of an environment.

Nothing of it depends on this machine; see `normalization`.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import normalization, pytorch, uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTALL_SECONDS = 3000.0
_NEWEST_GLIBC = (2, 40)
"""The newest C library that uv has a name for; wheels for it run on newer ones."""
_NO_WHEEL = re.compile(r"no wheels? with a matching|no usable wheels|not compatible", re.IGNORECASE)


def unpack(
    text: str,
    folder: Path,
    *,
    python: str,
    architecture: str,
    glibc: str,
    environment: Mapping[str, str],
    wheels: Path | None = None,
) -> None:
    """Unpack the packages of a lock's text into a new folder, as they lie in `site-packages`.

    `python` is `3.11`, `architecture` `x86_64` or `aarch64`, `glibc` the version of the C library
    that they will run on (`2.36`). `wheels` is a folder with those that no index has. Raises
    `environment.platform` where a package has no wheel for these, and the errors of `uv.run`.
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
            *(("--find-links", str(wheels)) if wheels else ()),
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
    normalization.normalize(folder)


def _explained(error: uv.UvError, python: str, platform: str) -> ClocheError:
    if not _NO_WHEEL.search(error.what):
        return error
    return ClocheError(
        "environment.platform",
        f"A package has no wheel for Python {python} on {platform}. {error.what}",
        hint="Ask for a version of it that has one, or build for a platform that it supports.",
    )
