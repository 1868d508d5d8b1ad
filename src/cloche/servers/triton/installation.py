"""Triton from its wheel: one environment, made once and shared by all replicas.

    servers/triton-2.51.0-py3.12-<pins>/
        environment/        a virtual environment with nvidia-pytriton, numpy and onnxruntime
        libraries/          links to this Python's libpython under the names that stubs look up
        stubs/3.12/…        the stub of each Python version
        backends-<files>/   Triton's backend directory
        installation.json   written last: without it the folder is not finished

A virtual environment holds absolute paths and cannot be renamed into place. So it is built in its
final place, under a file lock, and a folder without installation.json is removed and made again. uv
inherits the lock: if this process is killed, nobody starts over before uv has ended, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.environments import interpreters
from cloche.errors import BusyError, ClocheError
from cloche.progress import SilentProgress
from cloche.servers.triton import backend_folder, host, packages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.progress import Progress, Task

VERSION = "2.51.0"
RELEASE = "24.10"
_PYTHONS = ("3.12", "3.11", "3.10", "3.9", "3.8")
"""Python versions that the server's packages support, best first: numpy 1 ends with 3.12."""
_MARKER = "installation.json"
_LOCK_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class TritonInstallation:
    """A Triton on disk; all paths are absolute."""

    root: Path
    backends: Path
    """The backend directory: `python` and the Python-based backends."""
    version: str
    """Version of the server: `2.51.0`"""
    release: str
    """The corresponding container release: `24.10`"""
    python: str
    """The Python version that it runs on: `3.12`"""

    @property
    def environment(self) -> Path:
        """Return the server's own virtual environment."""
        return self.root / backend_folder.ENVIRONMENT

    @property
    def interpreter(self) -> Path:
        """Return the Python of that environment, which has numpy and onnxruntime."""
        return self.environment / "bin" / "python"

    @property
    def libraries(self) -> Path:
        """Return the folder with this Python's libpython."""
        return self.root / "libraries"

    @property
    def site_packages(self) -> Path:
        """Return the folder of the unpacked wheels."""
        return self.environment / "lib" / f"python{self.python}" / "site-packages"

    @property
    def executable(self) -> Path:
        """Return the `tritonserver` program."""
        return self.site_packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def pythons(self) -> tuple[str, ...]:
        """Return the Python versions that have stubs, newest first."""
        return interpreters.PYTHONS

    def stub(self, python: str) -> Path:
        """Return the stub of a Python version (`3.10`, or longer: `3.10.13`).

        Raises ClocheError `server.triton.stub` if this Triton has no such stub.
        """
        minor = ".".join(python.split(".")[:2])
        path = self.root / "stubs" / minor / backend_folder.STUB
        if minor not in self.pythons or not path.is_file():
            raise ClocheError(
                "server.triton.stub",
                f"Triton {self.release} cannot run models on Python {python}.",
                hint="Use an environment with one of Python "
                + ", ".join(interpreters.PYTHONS)
                + ".",
            )
        return path


def install(
    root: Path,
    progress: Progress | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> TritonInstallation:
    """Return the installation under `root` (`CLOCHE_HOME/servers`); install it if it is missing.

    `environment` is the user's: uv takes its index, proxy and certificates from it. Safe for
    concurrent processes. Raises ClocheError: `environment.python`, `server.triton.platform`,
    `.download` (retriable), `.disk`, `.install`.
    """
    root = root.absolute()
    given = os.environ if environment is None else environment
    existing = _existing(root)
    if existing is not None:
        return existing
    host.check()
    try:
        files.private_folder(root)
        # One lock for all Python versions: two processes never choose differently.
        with (
            (progress or SilentProgress()).task(f"Installing Triton {RELEASE}") as task,
            files.locked(
                root / "triton.lock",
                limit=_LOCK_SECONDS,
                waiting=lambda: task.note("another process is installing it; waiting"),
                busy=lambda: _busy(root),
            ) as lock,
        ):
            return _existing(root) or _make(root, given, task, lock)
    except OSError as error:
        raise packages.translate(error, root) from error


def _busy(root: Path) -> BusyError:
    return BusyError(
        "server.triton.busy",
        "Another process has been installing Triton for too long.",
        where=str(root / "triton.lock"),
        hint="End that process and run the command again.",
    )


def outdated(root: Path) -> list[Path]:
    """Return the installations under `root` that this version of Cloche does not use."""
    current = {_folder(root, minor) for minor in _PYTHONS}
    return [folder for folder in root.glob("triton-*/") if folder not in current]


def find(root: Path) -> tuple[Path, str] | None:
    """Return folder and Python of the best finished installation of these pins, None if absent."""
    for minor in _PYTHONS:
        folder = _folder(root, minor)
        library = folder / "libraries" / f"libpython{minor}.so.1.0"
        # A removed Python leaves a dangling link.
        if (folder / _MARKER).is_file() and library.is_file():
            return folder, minor
    return None


def _existing(root: Path) -> TritonInstallation | None:
    finished = find(root)
    return _complete(*finished) if finished else None


def _complete(folder: Path, minor: str) -> TritonInstallation:
    """Return the installation, with the backends of this version of Cloche."""
    try:
        backends = backend_folder.make(folder, minor)
    except OSError as error:
        raise packages.translate(error, folder) from error
    return TritonInstallation(folder, backends, VERSION, RELEASE, minor)


def _folder(root: Path, minor: str) -> Path:
    pins = hashlib.sha256(packages.REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return root / f"triton-{VERSION}-py{minor}-{pins}"


def _make(root: Path, environment: Mapping[str, str], task: Task, lock: int) -> TritonInstallation:
    task.note("looking for a Python to run it on")
    interpreter = interpreters.find(_PYTHONS, environment=environment, folder=root)
    folder = _folder(root, interpreter.minor)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    task.note(f"downloading and unpacking about 250 MiB for Python {interpreter.minor}")
    packages.make_environment(
        folder / backend_folder.ENVIRONMENT, interpreter.executable, environment, keep_open=lock
    )
    task.note("checking that it starts")
    _link_libraries(folder / "libraries", interpreter)
    installation = TritonInstallation(folder, folder, VERSION, RELEASE, interpreter.minor)
    _copy_stubs(installation)
    _check_that_it_runs(installation)
    finished = {
        "version": VERSION,
        "python": str(interpreter.executable),
        "python_version": ".".join(map(str, interpreter.version)),
    }
    files.write_atomically(folder / _MARKER, (json.dumps(finished, indent=2) + "\n").encode())
    return _complete(folder, interpreter.minor)


def _link_libraries(folder: Path, interpreter: interpreters.Interpreter) -> None:
    folder.mkdir()
    for name in backend_folder.library_names(interpreter.minor):
        (folder / name).symlink_to(interpreter.library)


def _copy_stubs(installation: TritonInstallation) -> None:
    source = installation.site_packages / "pytriton" / "tritonserver" / "python_backend_stubs"
    for minor in interpreters.PYTHONS:
        destination = installation.root / "stubs" / minor
        destination.mkdir(parents=True)
        # Copied because in its own place its RPATH finds the wheel's libpython for 3.13, which does
        # not fit the standard library of every 3.13.
        shutil.copyfile(source / minor / backend_folder.STUB, destination / backend_folder.STUB)
        (destination / backend_folder.STUB).chmod(0o755)


def _check_that_it_runs(installation: TritonInstallation) -> None:
    libraries = installation.site_packages / "nvidia_pytriton.libs"
    try:
        done = subprocess.run(
            [installation.executable, "--help"],
            env={"LD_LIBRARY_PATH": f"{installation.libraries}:{libraries}"},
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
        words = (done.stderr or done.stdout).strip()[-400:]
        works = "Usage: tritonserver" in done.stdout + done.stderr
    except (OSError, subprocess.SubprocessError) as error:
        works, words = False, str(error)
    if not works:
        raise ClocheError(
            "server.triton.install",
            f"Triton is installed but does not start on this machine: {words}",
            where=str(installation.root),
            hint="This machine lacks something that the wheel needs; see `cloche doctor`.",
        )
