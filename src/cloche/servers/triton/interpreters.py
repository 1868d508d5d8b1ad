"""Which Python the server runs on.

The stub of Triton's Python backend embeds CPython: it needs an interpreter of a version that it was
built for, whose libpython is a shared library. Distributions often leave that library out, so every
candidate is asked.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STUBS = ("3.13", "3.12", "3.11", "3.10", "3.9", "3.8")
"""The Python versions that this Triton has stubs for."""
SERVER = ("3.12", "3.11", "3.10", "3.9", "3.8")
"""Those that the server's own packages exist for, best first: numpy 1 ends with 3.12."""

_PROBE = """
import json, os, platform, sys, sysconfig
get = sysconfig.get_config_var
name, base = get("INSTSONAME") or "", sys.base_prefix
folders = [get("LIBDIR") or "", os.path.join(get("LIBDIR") or "", get("MULTIARCH") or ""),
           os.path.join(base, "lib"), os.path.join(base, "lib64")]
found = [os.path.join(f, name) for f in folders if os.path.isfile(os.path.join(f, name))]
print(json.dumps({
    "version": list(sys.version_info[:3]), "final": sys.version_info[3] == "final",
    "cpython": platform.python_implementation() == "CPython",
    "threaded": bool(get("Py_GIL_DISABLED")), "bits": sys.maxsize.bit_length() + 1,
    "executable": os.path.realpath(sys.executable),
    "library": found[0] if ".so" in name and found else None,
}))
"""
_PROBE_SECONDS = 20
_DOWNLOAD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython that a stub can embed."""

    executable: Path
    version: tuple[int, int, int]
    library: Path
    """Its `libpython3.X.so.1.0`."""

    @property
    def minor(self) -> str:
        """Return the version as stubs are named: `3.11`."""
        return f"{self.version[0]}.{self.version[1]}"


def probe(executable: Path) -> Interpreter | None:
    """Ask an interpreter what it is; None when it does not run or no stub can embed it."""
    try:
        # -I: neither the user's variables nor the current folder change what it says.
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
    version = said["version"]
    usable = said["cpython"] and said["final"] and not said["threaded"] and said["bits"] == 64
    if not usable or said["library"] is None or f"{version[0]}.{version[1]}" not in STUBS:
        return None
    return Interpreter(
        Path(said["executable"]), (version[0], version[1], version[2]), Path(said["library"])
    )


def find(environment: Mapping[str, str], folder: Path) -> Interpreter:
    """Return the newest interpreter on this machine that can run the server, or get one with uv.

    uv runs in `folder`. Raises ClocheError `server.triton.python` when there is none and none can
    be downloaded.
    """
    found = _newest(environment, folder)
    if found is not None:
        return found
    said = ""
    try:
        # Of those that the server's packages exist for, the newest.
        arguments = ["python", "install", SERVER[0]]
        uv.run(arguments, environment=environment, folder=folder, timeout=_DOWNLOAD_SECONDS)
    except ClocheError as error:
        said = f" {error.what}"
    found = _newest(environment, folder)
    if found is not None:
        return found
    raise ClocheError(
        "server.triton.python",
        "Triton needs a CPython from 3.8 to 3.12 with a shared libpython, and this machine has"
        f" none that could be found or downloaded.{said}",
        hint="Install one (Debian and Ubuntu: `apt install python3 libpython3-dev`; with uv:"
        f" `uv python install {SERVER[0]}`) and run the command again.",
        retriable=True,
    )


def _newest(environment: Mapping[str, str], folder: Path) -> Interpreter | None:
    """Probe candidates from the newest minor version down, and stop at the first that fits."""
    candidates: dict[str, list[Path]] = {version: [] for version in SERVER}
    for minor, path in _candidates(environment, folder):
        if minor in candidates and path not in candidates[minor]:
            candidates[minor].append(path)
    for minor in SERVER:
        probed = [found for path in candidates[minor] if (found := probe(path)) is not None]
        fitting = [found for found in probed if found.minor == minor]
        if fitting:
            return max(fitting, key=lambda one: one.version)
    return None


def _candidates(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[str, Path]]:
    yield _minor(sys.version), Path(sys.executable)
    for minor in SERVER:
        if on_path := shutil.which(f"python{minor}", path=environment.get("PATH")):
            yield minor, Path(on_path)
    # pyenv's shims run only the versions that are switched on: look at what it has installed.
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in sorted(pyenv.glob("versions/3.*")):
        yield _minor(version.name), version / "bin" / f"python{_minor(version.name)}"
    listed = uv.run(
        ["python", "list", "--only-installed", "--output-format", "json"],
        environment=environment,
        folder=folder,
        timeout=60,
    )
    for item in json.loads(listed or "[]"):
        if item.get("path"):
            yield _minor(item["version"]), Path(item["path"])


def _minor(version: str) -> str:
    match = re.match(r"\d+\.\d+", version)
    return match[0] if match else ""
