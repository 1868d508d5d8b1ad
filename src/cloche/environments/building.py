"""Builds a package that exists only as source, once: its wheel is in the store from then on.

The build runs in a process of its own, with the model's Python: without the user's variables, with
limits, and, as far as the kernel allows that, without a network and with no files but its own and
those of Python and compilers (`sandbox`, `build_walls`). What it needs to build is installed
before, from wheels alone. The same source gives the same wheel as far as its build does: names and
times in it are fixed.
"""

from __future__ import annotations

import importlib
import io
import json
import platform
import re
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import BuiltWheel, decode, digest_of, encode
from cloche.environments import build_walls, interpreters, uv
from cloche.environments.portable import oldest_glibc
from cloche.errors import ClocheError
from cloche.sandbox import SOCKETS, Walls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.environments.compilation import SourceFile
    from cloche.store import Store

tarfile = importlib.import_module(
    "tarfile" if sys.version_info >= (3, 11, 4) else "backports.tarfile"
)
"""Earlier ones, such as Debian 12's, have no filter that keeps members inside."""

_KIND = "built-wheel"
_FORM = 2
"""Counts the changes of how wheels are built: one is remembered for its source and this."""
_SECONDS = 3600.0
_TOOLS = ("setuptools", "wheel")
"""What a source needs that does not say it (PEP 517)."""
_PASSED = (
    "PATH", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH",
    "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH",
)  # fmt: skip
"""Variables of the user that say how to compile."""
_EPOCH = "315532800"
"""1980, the first time that a wheel can have."""
_LIMITS = {
    "RLIMIT_AS": 16 * 2**30, "RLIMIT_FSIZE": 4 * 2**30, "RLIMIT_CPU": 2 * 3600, "RLIMIT_CORE": 0,
}  # fmt: skip
"""Bytes of memory and of a file, seconds of a process, bytes of a dump."""
_SERVICES = "/run"
_TIME = (1980, 1, 1, 0, 0, 0)
_WORDS = 1200
_MISSING = re.compile(r"(gcc|g\+\+|cc|clang|cmake|cargo|gfortran)\b.{0,40}(not found|No such)")
"""A tool that a build says it lacks."""


def build(
    source: SourceFile, python: str, *, store: Store, environment: Mapping[str, str]
) -> BuiltWheel:
    """Return the wheel of a source for a Python (`3.11`) on this machine; it is in the store.

    Raises ClocheError `environment.build`, `environment.python`, and those of `packages.fetch` and
    `uv.run`.
    """
    inputs = [_FORM, source.digest, python, platform.machine()]
    key = digest_of(encode(inputs)).removeprefix("sha256:")
    remembered = store.recall(_KIND, key)
    if remembered is not None:
        known = decode(BuiltWheel, remembered)
        if store.use(known.digest):
            return known
    with tempfile.TemporaryDirectory(prefix="cloche-build-") as folder:
        path, left = _build(source, python, Path(folder).resolve(), environment)
        data, glibc = _normalized(path), _glibc(path)
    digest = store.add_bytes(data)
    built = BuiltWheel(source.name, source.version, path.name, digest, len(data), glibc, left)
    store.remember(_KIND, key, encode(built))
    return built


def _build(
    source: SourceFile, python: str, folder: Path, environment: Mapping[str, str]
) -> tuple[Path, tuple[str, ...]]:
    """Return the wheel of a source, and what its build could reach for want of walls."""
    from cloche.clients import packages

    project = _unpack(packages.fetch(source.address, source.digest, environment), source, folder)
    found = interpreters.find([python], environment=environment, folder=folder)
    own = folder / "environment"
    interpreter = own / "bin" / "python"
    new = ("venv", "--no-project", "--no-python-downloads")
    install = ("pip", "install", "--no-python-downloads", "--only-binary", ":all:")
    needed = _needed(project)
    for arguments in (
        (*new, "--python", str(found.executable), str(own)),
        *([(*install, "--python", str(interpreter), *needed)] if needed else []),
    ):
        uv.run(arguments, environment=environment, folder=folder, timeout=_SECONDS)
    wheels, open_ = folder / "wheels", folder / "open.json"
    read = build_walls.readable(found.executable, [uv.find()], environment)
    walls = Walls(
        tuple(read), (str(folder),), network=False, hide={_SERVICES: None}, limits=_LIMITS,
        mask=0o022, open=str(open_),
    )  # fmt: skip
    try:
        uv.run(
            ("build", "--wheel", "--no-build-isolation", "--offline", "--no-config", "--python",
             str(interpreter), "--out-dir", str(wheels), str(project)),
            environment=_variables(environment, folder),
            folder=folder,
            timeout=_SECONDS,
            through=walls.around(),
        )  # fmt: skip
    except uv.UvError as error:
        raise _failed(source, error.what[-_WORDS:]) from error
    made = list(wheels.glob("*.whl"))
    if len(made) != 1:
        raise _failed(source, "It makes no wheel.")
    # What acts for a user in sockets needs their files or the network to be of use.
    left = json.loads(open_.read_bytes())
    return made[0], tuple(each for each in left if each != SOCKETS)


def _unpack(data: bytes, source: SourceFile, folder: Path) -> Path:
    """Unpack a source, whose one folder is returned; nothing of it lies outside of `folder`."""
    into = folder / "source"
    into.mkdir()
    try:
        if source.address.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                archive.extractall(into)  # it keeps members inside
        else:
            with tarfile.open(fileobj=io.BytesIO(data)) as packed:
                packed.extractall(into, filter="data")
        (project,) = into.iterdir()
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise _failed(source, f"The archive is damaged: {error}.") from error
    return project


def _needed(project: Path) -> list[str]:
    """Return what a source needs to be built, by its pyproject.toml (PEP 518)."""
    try:
        text = (project / "pyproject.toml").read_text(encoding="utf-8")
        asked = list(map(str, tomllib.loads(text)["build-system"]["requires"]))
    except (OSError, ValueError, KeyError, TypeError):
        return list(_TOOLS)
    # Its releases before 70.1 ask for it only once they run.
    return [*asked, *(["wheel"] if any("setuptools" in each for each in asked) else [])]


def _variables(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables of a build: those of compilers, and nothing else of the user's."""
    kept = {name: environment[name] for name in _PASSED if name in environment}
    home = folder / "home"
    home.mkdir()
    flags = f"-g0 -ffile-prefix-map={folder}=/build"  # no path of this machine in what is compiled
    return {
        **kept,
        **{name: f"{kept.get(name, '')} {flags}".strip() for name in ("CFLAGS", "CXXFLAGS")},
        "HOME": str(home), "TMPDIR": str(home), "UV_CACHE_DIR": str(home / "uv"),
        "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": _EPOCH,
    }  # fmt: skip


def _normalized(path: Path) -> bytes:
    """Return a wheel with fixed times, order and modes, not compressed: zlib's bytes vary."""
    written = io.BytesIO()
    with zipfile.ZipFile(path) as wheel, zipfile.ZipFile(written, "w") as made:
        for name in sorted(info.filename for info in wheel.infolist() if not info.is_dir()):
            info = zipfile.ZipInfo(name, _TIME)
            executable = (wheel.getinfo(name).external_attr >> 16) & 0o100
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            info.create_system = 3
            made.writestr(info, wheel.read(name))
    return written.getvalue()


def _glibc(path: Path) -> str | None:
    """Return the oldest C library that a wheel runs on; None for one with nothing compiled."""
    if path.stem.endswith("-any"):
        return None
    with zipfile.ZipFile(path) as wheel:
        return oldest_glibc(wheel.read(name) for name in wheel.namelist())


def _failed(source: SourceFile, why: str) -> ClocheError:
    missing = _MISSING.search(why)
    return ClocheError(
        "environment.build",
        f"{source.name} {source.version} exists only as source for this Python, and cannot be built"
        f" here. {why}",
        where=source.address,
        hint="Install what its build needs"
        f" ({missing[1] if missing else 'Debian and Ubuntu: `apt install build-essential`'}),"
        " or take a release of it, or a Python, that has a wheel.",
    )
