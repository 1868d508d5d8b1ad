"""The words by which a reader can call `cloche` where this process was started."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = "cloche"


def words(environment: Mapping[str, str], folder: Path, programs: Path | None = None) -> str:
    """Return `cloche` if the reader's shell finds it, else its path, as short as it can be.

    `programs` is the folder of this environment's programs (default: that of this interpreter). A
    shell does not find what only `uv run` put on the PATH of this process.
    """
    programs = programs or Path(sys.executable).parent
    searched = environment.get("PATH", os.defpath)
    if "UV_RUN_RECURSION_DEPTH" in environment:
        entries = searched.split(os.pathsep)
        searched = os.pathsep.join(entry for entry in entries if Path(entry) != programs)
    if shutil.which(COMMAND, path=searched):
        return COMMAND
    path = programs / COMMAND
    if not path.is_file():
        return f"{shlex.quote(sys.executable)} -m cloche"
    return shlex.quote(str(path.relative_to(folder) if path.is_relative_to(folder) else path))
