"""The environment of a lock in an image: the same bytes, whatever machine it was made on.

    cloche/environments/<lock>/lib/python3.12/site-packages/…   the packages and their bytecode
    cloche/environments/<lock>/bin/python3                      → the base's Python
    cloche/environments/<lock>/bin/activate                     what Triton's Python backend sources
    models/<model>/environment                                  → cloche/environments/<lock>

It lies beside the models, not among them: what executes is in the container's own image even where
the models come from a volume, which may be mounted without the right to execute.
"""

from __future__ import annotations

import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import decode, digest_of, encode
from cloche.environments import bytecode, unpacking
from cloche.errors import ClocheError
from cloche.images.layers import LayerFile, LayerLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Lock
    from cloche.images.base import Base
    from cloche.progress import Progress
    from cloche.store import Store

FOLDER = "cloche/environments"
_KIND = "image-environment"
_FORM = 1
"""Counts the changes of what an environment holds."""
_OLDEST_GLIBC = "2.35"
"""That of the oldest base, where a base does not say which it has."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The names that wheels have for architectures of images."""
_HEX = 16
_ACTIVATE = """\
VIRTUAL_ENV={root}
PATH=$VIRTUAL_ENV/bin:$PATH
export VIRTUAL_ENV PATH
"""
_SETTINGS = "home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"


@dataclass(frozen=True, slots=True)
class Environment:
    """What an image holds of a lock."""

    root: str
    """From the root of the image, without a leading slash."""
    what: str
    files: tuple[LayerFile, ...]
    links: tuple[LayerLink, ...]


def make(
    lock: Lock, base: Base, store: Store, progress: Progress, environment: Mapping[str, str]
) -> Environment:
    """Return the environment of a lock on a base; its files are then in the store.

    `environment` is the user's: uv takes its index, proxy and certificates from it. Raises
    ClocheError `image.python` if the base has no Python of the lock's version, and those of
    `unpacking.unpack` and `bytecode.compile_folder`.
    """
    _require_python(lock, base)
    machine = MACHINES.get(base.platform.architecture, base.platform.architecture)
    glibc = base.software.glibc or _OLDEST_GLIBC
    root = f"{FOLDER}/{lock.digest.removeprefix('sha256:')[:_HEX]}"
    files = _known(key := _key(lock, machine, glibc), store)
    if files is None:
        title = f"Unpacking the model's environment (Python {lock.python}, {machine})"
        with progress.task(title) as task, tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "packages"
            task.note(f"{len(lock.packages)} packages")
            unpacking.unpack(
                lock.text, folder, python=lock.python, architecture=machine, glibc=glibc,
                environment=environment,
            )  # fmt: skip
            place = f"{root}/lib/python{lock.python}/site-packages"
            task.note("compiling them")
            bytecode.compile_folder(
                folder, python=lock.python, shown=f"/{place}", environment=environment
            )
            task.note("adding them to the store")
            files = (*added(folder, place, store), *_own_files(root, lock.python, store))
        store.remember(_KIND, key, encode(files))
    what = f"environment of Python {lock.python}, {len(lock.packages)} packages"
    return Environment(root, what, files, _links(root, lock.python))


def link_of(model: str, environment: Environment) -> LayerLink:
    """Return the link by which a model finds its environment."""
    return LayerLink(f"models/{model}/environment", f"/{environment.root}")


def added(folder: Path, place: str, store: Store) -> tuple[LayerFile, ...]:
    """Add the files of a folder, which lies at `place` in the image, to the store."""
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            entry = store.add_file(path)
            executable = bool(status.st_mode & stat.S_IXUSR)
            name = f"{place}/{path.relative_to(folder).as_posix()}"
            found.append(LayerFile(name, entry.size, entry.digest, executable))
    return tuple(found)


def _own_files(root: str, python: str, store: Store) -> tuple[LayerFile, ...]:
    texts = {
        "bin/activate": _ACTIVATE.format(root=f"/{root}"),
        "pyvenv.cfg": _SETTINGS.format(python=python),
    }
    return tuple(
        LayerFile(f"{root}/{name}", len(text), store.add_bytes(text.encode()))
        for name, text in texts.items()
    )


def _links(root: str, python: str) -> tuple[LayerLink, ...]:
    interpreter = LayerLink(f"{root}/bin/python{python}", f"/usr/bin/python{python}")
    names = (LayerLink(f"{root}/bin/{name}", f"python{python}") for name in ("python", "python3"))
    return (interpreter, *names)


def _key(lock: Lock, machine: str, glibc: str) -> str:
    return digest_of(encode([_FORM, lock.digest, machine, glibc])).removeprefix("sha256:")


def _known(key: str, store: Store) -> tuple[LayerFile, ...] | None:
    """Return the files of an environment that was made before and is still whole."""
    remembered = store.recall(_KIND, key)
    if remembered is None:
        return None
    with suppress(ValueError):  # another state of this version wrote it
        files = decode(tuple[LayerFile, ...], remembered)
        if all(store.use(file.digest) for file in files):
            return files
    return None


def _require_python(lock: Lock, base: Base) -> None:
    there = base.software.pythons
    if lock.python in there:
        return
    said = f"Python {' and '.join(there)}" if there else "no Python that it names"
    hint = (
        f'Lock it for that: `python: "{there[0]}"` under `model:` in cloche.yaml.'
        if there
        else "Give the base the label cloche.base.pythons with the versions that it has a stub for."
    )
    raise ClocheError(
        "image.python",
        f"The model's environment is locked for Python {lock.python}, and the base has {said}.",
        where=str(base.annotations.get("org.opencontainers.image.base.name") or "--base"),
        hint=hint,
    )
