"""Makes the virtual environment of a lock.

    environments/<lock's hex>/           the environment
    environments/<lock's hex>/.complete  written last: without it the folder is unfinished; its
                                         modification time is when the environment was last used
    environments/<lock's hex>.lock       held while it is made

An environment contains absolute paths and cannot be renamed, so it is built in its final folder,
under a lock that uv inherits: after a kill of this process nobody starts over before uv has ended.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.environments import from_source, interpreters, pytorch, uv
from cloche.errors import BusyError, ClocheError
from cloche.units import download_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from cloche.artifacts import Lock
    from cloche.progress import Progress, Task
    from cloche.store import Store

MARKER = ".complete"
_INSTALL_SECONDS = 3000.0
_WAIT_SECONDS = 3600.0


def path_of(lock: Lock, root: Path) -> Path:
    """Return the folder of a lock's environment under `root`, which may not exist.

    Links are resolved: scripts in an environment contain its path, and a link may be removed (the
    demo's home links to the user's environments).
    """
    return root.resolve() / lock.digest.removeprefix("sha256:")


def is_complete(folder: Path) -> bool:
    """Return whether an environment is finished, stands where it was made, and can be run.

    One that was moved or copied puts its old place on PATH when a server activates it: the model
    would then run with the packages of any other Python.
    """
    python = folder / "bin" / "python"
    return os.path.isfile(folder / MARKER) and os.access(python, os.X_OK) and _is_home(folder)  # noqa: PTH113


def _is_home(folder: Path) -> bool:
    try:
        written = (folder / "bin" / "activate").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    place = folder.resolve()  # as `path_of` names it
    # A quote in a path is written in another way by each release of uv.
    return f"='{place}'" in written or "'" in str(place)


def existing(lock: Lock, root: Path) -> Path:
    """Return the finished environment of a lock; raises ClocheError `environment.missing`."""
    folder = path_of(lock, root)
    if not is_complete(folder):
        raise ClocheError(
            "environment.missing",
            "The model's environment is not on this machine, not finished, or was moved.",
            where=str(folder),
            hint="Deploy the model again to make its environment from its lock.",
        )
    return folder


def materialize(
    lock: Lock,
    root: Path,
    progress: Progress,
    *,
    environment: Mapping[str, str] | None = None,
    store: Store | None = None,
) -> Path:
    """Return the environment of a lock under `root`; make it if it is missing.

    `store` has the wheels that were built for it, if any. Safe for several processes at once and at
    any kill. Raises ClocheError: `environment.python`, `environment.wheel`,
    `.network`, `.timeout`, `.busy`, `.disk` (all retriable), `.access`, `.failed`.
    """
    folder = path_of(lock, root)
    if is_complete(folder):
        os.utime(folder / MARKER)
        return folder
    variables = os.environ if environment is None else environment
    try:
        files.private_folder(root)
        title = f"Making the model's environment (Python {lock.python})"
        with progress.task(title) as task, _lock(folder, task) as descriptor:
            if not is_complete(folder):
                with from_source.wheels(lock.built, store) as wheels:
                    _make(lock, folder, task, variables, descriptor, wheels)
    except OSError as error:
        if error.errno in files.FULL:
            raise uv.disk_full(folder) from error
        raise ClocheError(
            "environment.failed",
            f"The model's environment cannot be made: {error.strerror or error}.",
            where=str(error.filename or folder),
            hint="Check that the folder can be written to, or set CLOCHE_HOME to another one.",
        ) from error
    return folder


def _make(  # noqa: PLR0917 - what it is of, and how it is made
    lock: Lock,
    folder: Path,
    task: Task,
    environment: Mapping[str, str],
    descriptor: int,
    wheels: Path | None,
) -> None:
    def run(*arguments: str) -> None:
        uv.run(
            arguments,
            environment=pytorch.installing(environment),
            folder=folder.parent,
            timeout=_INSTALL_SECONDS,
            keep_open=(descriptor,),
        )

    shutil.rmtree(folder, ignore_errors=True)
    task.note(f"looking for Python {lock.python}")
    python = interpreters.find(
        [lock.python], environment=environment, folder=folder.parent
    ).executable
    try:
        _install(lock, folder, python, task, wheels, run)
    except ClocheError:
        # The remains of a failed attempt are useless, and may fill the disk.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _mark_complete(folder, lock.digest)


def _install(  # noqa: PLR0917 - as `_make`
    lock: Lock,
    folder: Path,
    python: Path,
    task: Task,
    wheels: Path | None,
    run: Callable[..., None],
) -> None:
    run("venv", "--no-project", "--no-python-downloads", "--python", str(python), str(folder))
    (folder / "requirements.lock").write_text(lock.text, encoding="utf-8")
    files = download_text(lock.sizes, len(lock.packages))
    task.note(f"downloading {files}, installing and compiling")
    # No dependencies beyond the lock, and nothing without its digest. Compiled once, for the direct
    # run, which keeps no bytecode, and for the start of each replica.
    run(
        "pip", "install", "--no-python-downloads", "--python", str(folder / "bin" / "python"),
        "--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode",
        "--requirements", str(folder / "requirements.lock"),
        *(("--find-links", str(wheels)) if wheels else ()),
    )  # fmt: skip


def _mark_complete(folder: Path, digest: str) -> None:
    files.write_atomically(folder / MARKER, f"{digest}\n".encode())


def _lock(folder: Path, task: Task) -> AbstractContextManager[int]:
    return files.locked(
        Path(f"{folder}.lock"),
        limit=_WAIT_SECONDS,
        waiting=lambda: task.note("another process is making it; waiting"),
        busy=lambda: BusyError(
            "environment.busy",
            "Another process has been making the model's environment for too long.",
            where=str(folder),
            hint="End that process and run the command again.",
        ),
    )
