"""Finds a Python that Triton can embed.

The stub of its Python backend needs a CPython whose libpython is a shared library. Distributions
often leave that library out, so every candidate is probed. If none fits, uv downloads one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.environments import uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PYTHONS = ("3.13", "3.12", "3.11", "3.10", "3.9", "3.8")
"""The Python versions that Triton has stubs for."""

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
        """Return the version in the names of stubs: `3.11`."""
        return f"{self.version[0]}.{self.version[1]}"


def probe(executable: Path) -> Interpreter | None:
    """Return an interpreter; None if it does not run or no stub can embed it."""
    facts = _facts(executable)
    if facts is None or facts["library"] is None:
        return None
    major, minor, micro = facts["version"]
    return Interpreter(Path(facts["executable"]), (major, minor, micro), Path(facts["library"]))


def installed(
    python: str, environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[Path, str]]:
    """Yield each CPython of a version (`3.11`) on this machine with its release (`3.11.2`).

    Stubs may be unable to embed it. Programs that have the same release are yielded once.
    """
    seen: set[str] = set()
    for candidate in _candidates(python, environment, folder):
        facts = _facts(candidate)
        release = ".".join(map(str, facts["version"])) if facts else ""
        if facts and release.startswith(f"{python}.") and release not in seen:
            seen.add(release)
            yield Path(facts["executable"]), release


def _facts(executable: Path) -> dict[str, Any] | None:
    """Return what a CPython that is no preview says of itself; None for other programs."""
    try:
        # -I: ignore the user's variables and the current folder.
        result = subprocess.run(
            [executable, "-I", "-c", _PROBE],
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        facts: dict[str, Any] = json.loads(result.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    usable = facts["cpython"] and facts["final"] and not facts["threaded"] and facts["bits"] == 64
    return facts if usable else None


def find(minors: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Interpreter:
    """Return an interpreter of the first version in `minors` (`3.12`, `3.11` …) that there is.

    If this machine has none, uv, which runs in `folder`, downloads the first version. Raises
    ClocheError `environment.python` if that fails.
    """
    interpreter = _find_installed(minors, environment, folder)
    if interpreter is not None:
        return interpreter
    failure = ""
    try:
        arguments = ["python", "install", minors[0]]
        uv.run(arguments, environment=environment, folder=folder, timeout=_DOWNLOAD_SECONDS)
    except ClocheError as error:
        failure = f" {error.what}"
    interpreter = _find_installed(minors, environment, folder)
    if interpreter is not None:
        return interpreter
    raise ClocheError(
        "environment.python",
        f"No CPython {' or '.join(minors)} with a shared libpython was found on this machine, and"
        f" none could be downloaded.{failure}",
        hint=f"Install one (Debian and Ubuntu: `apt install libpython{minors[0]}-dev`; with uv:"
        f" `uv python install {minors[0]}`) and run the command again.",
        retriable=True,
    )


def _find_installed(
    minors: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Interpreter | None:
    for minor in minors:
        seen: set[Path] = set()
        for candidate in _candidates(minor, environment, folder):
            if candidate in seen:
                continue
            seen.add(candidate)
            interpreter = probe(candidate)
            if interpreter is not None and interpreter.minor == minor:
                return interpreter
    return None


def _candidates(minor: str, environment: Mapping[str, str], folder: Path) -> Iterator[Path]:
    if sys.version_info[:2] == tuple(map(int, minor.split("."))):
        yield Path(sys.executable)
    if on_path := shutil.which(f"python{minor}", path=environment.get("PATH")):
        yield Path(on_path)
    # pyenv's shims run only the activated versions: look at all installed ones.
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in _folders(pyenv / "versions"):
        if version.name.startswith(f"{minor}."):
            yield version / "bin" / f"python{minor}"
    listing = uv.run(
        ["python", "list", minor, "--only-installed", "--output-format", "json"],
        environment=environment,
        folder=folder,
        timeout=60,
    )
    for item in json.loads(listing or "[]"):
        if item.get("path"):
            yield Path(item["path"])


def _folders(folder: Path) -> list[Path]:
    """Return what is in a folder, last name first; nothing for one that may not be read."""
    try:
        return sorted(folder.iterdir(), reverse=True)
    except OSError:
        return []
