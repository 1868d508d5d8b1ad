"""The files of a Python of this machine that an image needs: interpreter, libraries, modules.

What a server never loads is left out: tests, documentation, editors, terminal and window modules.
Shared libraries that are not part of the C library come along, so that the Python runs on any
system whose C library is as new as the one that it was linked against.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.environments.interpreters import Interpreter

_LEFT_OUT = frozenset({
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter",
    "turtledemo", "turtle.py", "lib2to3", "ensurepip", "pydoc_data", "curses", "dbm",
})  # fmt: skip
"""Files and folders of the standard library, wherever they lie in it."""
_NOT_LOADED = re.compile(
    r"(_tkinter|_curses|_curses_panel|readline|nis|_dbm|_gdbm|ossaudiodev|spwd|_crypt|xx\w*|_test\w*"
    r"|_ctypes_test|_xxtestfuzz)\."
)
"""Modules in C that no server loads and that need libraries of terminals and windows."""
_C_LIBRARY = re.compile(
    r"(linux-vdso|ld-linux[\w-]*|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnsl"
    r"|libanl|libnss_\w+|libcrypt)\.so"
)
_NEEDED = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")
_LDD_SECONDS = 120


@dataclass(frozen=True, slots=True)
class PortablePython:
    """The files of a Python by their place under a new prefix."""

    version: str
    """`3.12.1`"""
    files: dict[str, Path]
    """`bin/python3.12`, `lib/libpython3.12.so.1.0`, `lib/python3.12/os.py` …"""
    glibc: str
    """The oldest version of the C library that it runs on: `2.34`."""


def of(interpreter: Interpreter) -> PortablePython:
    """Return the files of an interpreter; raises `environment.python` if they cannot be told."""
    minor = interpreter.minor
    standard = interpreter.executable.parents[1] / "lib" / f"python{minor}"
    if not (standard / "os.py").is_file():
        raise _unknown(interpreter, f"its standard library is not at {standard}")
    files = {
        f"bin/python{minor}": interpreter.executable,
        f"lib/{interpreter.library.name}": interpreter.library,
    }
    for path in _standard_library(standard):
        files[f"lib/python{minor}/{path.relative_to(standard).as_posix()}"] = path
    binary = [path for name, path in files.items() if name.startswith("bin/") or ".so" in name]
    for name, path in _libraries(interpreter, binary).items():
        files.setdefault(f"lib/{name}", path)
    return PortablePython(
        ".".join(map(str, interpreter.version)), files, oldest_glibc(_binaries(files.values()))
    )


def _standard_library(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")
        )
        for name in sorted(names):
            if name not in _LEFT_OUT and not _NOT_LOADED.match(name):
                yield Path(place, name)


def _libraries(interpreter: Interpreter, binaries: list[Path]) -> dict[str, Path]:
    """Return what programs and modules are linked with, by name, but the C library."""
    try:
        # Of a trusted interpreter: `ldd` may run what it looks at.
        done = subprocess.run(
            ["ldd", *binaries], capture_output=True, text=True, timeout=_LDD_SECONDS, check=False,
            stdin=subprocess.DEVNULL, env={"PATH": os.defpath, "LC_ALL": "C"}, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise _unknown(interpreter, f"ldd does not tell its libraries: {error}") from error
    found = {name: Path(path) for name, path in _NEEDED.findall(done.stdout)}
    if missing := re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE):
        raise _unknown(interpreter, f"it lacks {', '.join(sorted(set(missing)))}")
    return {name: path for name, path in sorted(found.items()) if not _C_LIBRARY.match(name)}


def _binaries(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        if ".so" in path.name or path.parent.name == "bin":
            yield path.read_bytes()


def oldest_glibc(binaries: Iterable[bytes]) -> str:
    """Return the newest version of the C library that a symbol of programs or libraries asks for.

    So it is the oldest one that they run on.
    """
    asked = {(2, 17)}
    for data in binaries:
        asked |= {(int(major), int(minor)) for major, minor in _GLIBC.findall(data)}
    return ".".join(map(str, max(asked)))


def is_newer(glibc: str, there: str) -> bool:
    """Return whether a C library (`2.36`) is newer than the one that is there."""
    mine, theirs = (tuple(map(int, version.split("."))) for version in (glibc, there))
    return mine > theirs


def _unknown(interpreter: Interpreter, why: str) -> ClocheError:
    return ClocheError(
        "environment.python",
        f"Python {interpreter.minor} of this machine cannot be put into an image: {why}.",
        where=str(interpreter.executable),
        hint=f"Install one that can, with uv: `uv python install {interpreter.minor}`.",
    )
