"""Finding the Python that a model's environment is made on.

Triton's Python backend embeds the interpreter: it takes a CPython with a shared libpython, which
distributions often leave out, so every candidate is asked. Where none fits uv downloads one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROBE = """
import json, os, platform, sys, sysconfig
get = sysconfig.get_config_var
name = get("INSTSONAME") or ""
folders = [get("LIBDIR") or "", os.path.join(get("LIBDIR") or "", get("MULTIARCH") or ""),
           os.path.join(sys.base_prefix, "lib"), os.path.join(sys.base_prefix, "lib64")]
shared = ".so" in name and any(os.path.isfile(os.path.join(f, name)) for f in folders)
print(json.dumps({
    "minor": "%d.%d" % sys.version_info[:2],
    "usable": platform.python_implementation() == "CPython" and not get("Py_GIL_DISABLED")
              and sys.version_info[3] == "final" and sys.maxsize > 2**32,
    "shared": shared,
    "executable": os.path.realpath(sys.executable),
}))
"""
_PROBE_SECONDS = 20
_DOWNLOAD_SECONDS = 900.0


def find(minor: str, *, environment: Mapping[str, str], folder: Path) -> Path:
    """Return an interpreter of a version (`3.11`) that Triton can embed, downloaded if need be.

    Raises ClocheError `environment.python` when there is none and none can be got.
    """
    found = _first(minor, environment, folder)
    if found is not None:
        return found
    said = ""
    try:
        uv.run(
            ["python", "install", minor],
            environment=environment,
            folder=folder,
            timeout=_DOWNLOAD_SECONDS,
        )
    except ClocheError as error:
        said = f" {error.what}"
    found = _first(minor, environment, folder)
    if found is not None:
        return found
    raise ClocheError(
        "environment.python",
        f"The model needs a CPython {minor} with a shared libpython, and this machine has none"
        f" that could be found or downloaded.{said}",
        hint=f"Install one (Debian and Ubuntu: `apt install libpython{minor}-dev`; with uv:"
        f" `uv python install {minor}`) and run the command again.",
        retriable=True,
    )


def _first(minor: str, environment: Mapping[str, str], folder: Path) -> Path | None:
    seen: set[Path] = set()
    for candidate in _candidates(minor, environment, folder):
        if candidate in seen:
            continue
        seen.add(candidate)
        found = _probe(candidate, minor)
        if found is not None:
            return found
    return None


def _probe(executable: Path, minor: str) -> Path | None:
    try:
        done = subprocess.run(
            [executable, "-I", "-c", _PROBE],
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    fits = said["minor"] == minor and said["usable"] and said["shared"]
    return Path(said["executable"]) if fits else None


def _candidates(minor: str, environment: Mapping[str, str], folder: Path) -> Iterator[Path]:
    if sys.version_info[:2] == tuple(map(int, minor.split("."))):
        yield Path(sys.executable)
    if on_path := shutil.which(f"python{minor}", path=environment.get("PATH")):
        yield Path(on_path)
    # pyenv's shims run only the versions that are switched on: look at what it has installed.
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in sorted(pyenv.glob(f"versions/{minor}.*"), reverse=True):
        yield version / "bin" / f"python{minor}"
    listed = uv.run(
        ["python", "list", minor, "--only-installed", "--output-format", "json"],
        environment=environment,
        folder=folder,
        timeout=60,
    )
    for item in json.loads(listed or "[]"):
        if item.get("path"):
            yield Path(item["path"])
