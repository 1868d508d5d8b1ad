"""Compiles the sources of a folder for the Python of an image, the same bytes on every machine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import interpreters
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.environments.interpreters import Interpreter

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
    shares = os.cpu_count() or 1
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for share in range(shares):
            asked = (str(folder), shown, str(share), str(shares))
            processes.append(_started(found.executable, "-B", _SCRIPT, *asked))
        until = time.monotonic() + _COMPILE_SECONDS
        said = [each.communicate(timeout=until - time.monotonic())[0] for each in processes]
    except (OSError, subprocess.SubprocessError) as error:
        raise _failed(found, str(error)) from error
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    if any(process.returncode for process in processes):
        raise _failed(found, b"".join(said).decode("utf-8", "replace"))


def _started(*command: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        # The order of sets in constants depends on the seed.
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
    )


def _failed(found: Interpreter, words: str) -> ClocheError:
    return ClocheError(
        "environment.bytecode",
        f"Python {found.minor} could not compile the packages: {words.strip()[-_WORDS:]}",
        where=str(found.executable),
        hint="Check that this Python runs and that the disk has room.",
    )
