"""Installing the server's packages with uv, and translating uv's failures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.environments import uv
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_INSTALL_SECONDS = 3000.0
_NO_WHEEL = re.compile(
    r"no wheels? with a matching|no solution found|not compatible|no usable wheels", re.IGNORECASE
)


def make_environment(
    folder: Path, python: Path, environment: Mapping[str, str], *, keep_open: int
) -> None:
    """Make a virtual environment on `python` with the pinned packages in it.

    `keep_open` is a file descriptor that uv inherits. Raises ClocheError: `server.triton.download`
    (retriable), `.platform`, `.disk`, `.install`.
    """
    make_command = [
        "venv",
        "--no-python-downloads",
        "--no-project",
        "--python",
        str(python),
        str(folder),
    ]
    fill_command = [
        "pip", "install", "--no-python-downloads", "--python", str(folder / "bin" / "python"),
        "--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode",
        "--requirements", str(REQUIREMENTS),
    ]  # fmt: skip
    for arguments in (make_command, fill_command):
        try:
            uv.run(
                arguments,
                environment=environment,
                folder=folder.parent,
                timeout=_INSTALL_SECONDS,
                keep_open=(keep_open,),
            )
        except ClocheError as error:
            raise explain(error, folder.parent) from error


def explain(error: ClocheError, folder: Path) -> ClocheError:
    """Return the server's error for a failure of uv."""
    if isinstance(error, uv.DiskFullError):
        return _disk_full(folder)
    if isinstance(error, UnavailableError):
        return UnavailableError(
            "server.triton.download",
            f"Triton could not be downloaded: {error.what}",
            hint=error.hint,
        )
    if isinstance(error, uv.UvError) and _NO_WHEEL.search(error.what):
        return ClocheError(
            "server.triton.platform",
            f"No wheel of Triton or of ONNX Runtime fits this machine. {error.what}",
            hint="Use Linux on x86-64 or arm64 with glibc 2.35 or newer, and a package index that"
            " has nvidia-pytriton 0.7.0.",
        )
    return ClocheError(
        "server.triton.install",
        f"Triton could not be installed. {error.what}",
        where=error.where or str(folder),
        hint=error.hint,
        retriable=error.retriable,
    )


def translate(error: OSError, folder: Path) -> ClocheError:
    """Return the server's error for a failure of the file system."""
    if error.errno in files.FULL:
        return _disk_full(folder)
    return ClocheError(
        "server.triton.install",
        f"Triton could not be installed: {error.strerror or error}.",
        where=str(error.filename or folder),
        hint="Check that the folder can be written to, or set CLOCHE_HOME to another one.",
    )


def _disk_full(folder: Path) -> ClocheError:
    return ClocheError(
        "server.triton.disk",
        "The disk is full: Triton needs about 1 GiB.",
        where=str(folder),
        hint="Free some space (`cloche cache` shows what Cloche holds) or set CLOCHE_HOME to a"
        " folder on a larger disk.",
        retriable=True,
    )
