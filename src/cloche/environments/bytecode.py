"""Compiles the sources of a folder for the Python of an image, the same bytes on every machine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from cloche.environments.compilers import Compiler

_SCRIPT = Path(__file__).with_name("bytecode_script.py")
_COMPILE_SECONDS = 1800.0
_WORDS = 400


def compile_folder(folder: Path, compiler: Compiler, *, shown: str) -> None:
    """Write the bytecode of all sources under a folder, which lies at `shown` in the image.

    Raises `environment.bytecode` if it fails.
    """
    shares = os.cpu_count() or 1
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for share in range(shares):
            asked = (str(folder), shown, str(share), str(shares))
            processes.append(_started(compiler, *asked))
        until = time.monotonic() + _COMPILE_SECONDS
        said = [each.communicate(timeout=until - time.monotonic())[0] for each in processes]
    except (OSError, subprocess.SubprocessError) as error:
        raise _failed(compiler, str(error)) from error
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    if any(process.returncode for process in processes):
        raise _failed(compiler, b"".join(said).decode("utf-8", "replace"))


def _started(compiler: Compiler, *asked: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*compiler.command, "-B", _SCRIPT, *asked],
        # The order of sets in constants depends on the seed.
        env={
            "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1",
            **compiler.variables,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
    )  # fmt: skip


def _failed(compiler: Compiler, words: str) -> ClocheError:
    return ClocheError(
        "environment.bytecode",
        f"Python {compiler.release} could not compile the packages: {words.strip()[-_WORDS:]}",
        where=compiler.command[0],
        hint="Check that this Python runs and that the disk has room.",
    )
