"""Compiles the sources of a folder for the Python of an image, the same bytes on every machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import interpreters
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCRIPT = Path(__file__).with_name("bytecode_script.py")
_COMPILE_SECONDS = 1800.0
_WORDS = 400


def compile_folder(
    folder: Path, *, python: str, shown: str, environment: Mapping[str, str]
) -> None:
    """Write the bytecode of all sources under a folder, which lies at `shown` in the image.

    `python` is `3.11`; an interpreter of that version is looked for, or downloaded by uv. Raises
    `environment.python` without one, and `environment.bytecode` if it fails.
    """
    found = interpreters.find([python], environment=environment, folder=folder.parent)
    try:
        # The order of sets in constants depends on the seed.
        subprocess.run(
            [found.executable, "-B", _SCRIPT, str(folder), shown],
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1"},
            capture_output=True,
            timeout=_COMPILE_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", None) or str(error).encode()
        raise ClocheError(
            "environment.bytecode",
            f"Python {python} could not compile the packages:"
            f" {words.decode('utf-8', 'replace').strip()[-_WORDS:]}",
            where=str(found.executable),
            hint="Check that this Python runs and that the disk has room.",
        ) from error
