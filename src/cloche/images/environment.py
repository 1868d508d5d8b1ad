"""The environment of a lock in an image: the same bytes, whatever machine it was made on.

    cloche/environments/<lock>/lib/python3.12/site-packages/…   the packages and their bytecode
    cloche/environments/<lock>/bin/python3                      → its Python
    cloche/environments/<lock>/bin/activate                     what Triton's Python backend sources
    models/<model>/environment                                  → cloche/environments/<lock>

It lies beside the models, not among them: what executes is in the container's own image even where
the models come from a volume, which may be mounted without the right to execute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.environments import bytecode, unpacking
from cloche.errors import ClocheError
from cloche.images import interpreter
from cloche.images.base import BASE_NAME, PYTHONS_LABEL
from cloche.images.file_tree import FileTree, TreeFile, TreeLink
from cloche.images.layers import LayerLink, MadeLayer
from cloche.images.tree_layers import TreeLayer
from cloche.model_config.names import ENVIRONMENT, STUB_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import ContainerStart, Lock, PythonStub
    from cloche.images.base import Base
    from cloche.progress import Progress
    from cloche.store import Store

FOLDER = "cloche/environments"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The architectures of images in the words of wheels."""
_FORM = 1
"""Counts the changes of what an environment holds."""
_OLDEST_GLIBC = "2.35"
"""That of the oldest base, where a base does not say which it has."""
_HEX = 16
_OF_BASE = "/usr"
"""The prefix of the Pythons that a base says it has."""
_ACTIVATE = """\
VIRTUAL_ENV=/{root}
PATH=$VIRTUAL_ENV/bin:$PATH
export VIRTUAL_ENV PATH
"""
_LIBRARIES = "LD_LIBRARY_PATH={prefix}/lib:$LD_LIBRARY_PATH\nexport LD_LIBRARY_PATH\n"
_SETTINGS = "home = {prefix}/bin\ninclude-system-site-packages = false\nversion = {python}\n"


@dataclass(frozen=True, slots=True)
class Environment:
    """What an image holds of a lock."""

    root: str
    """From the root of the image, without a leading slash."""
    layers: tuple[MadeLayer, ...]
    stub: PythonStub | None
    """The server's program for its Python; None where that is the base's own."""

    def links(self, model: str) -> tuple[LayerLink, ...]:
        """Return what a model finds it by."""
        folder = f"models/{model}"
        links = (LayerLink(f"{folder}/{ENVIRONMENT}", f"/{self.root}"),)
        if self.stub is None:
            return links
        return (*links, LayerLink(f"{folder}/{STUB_FILE}", f"/{self.stub.path}"))


def make(  # noqa: PLR0917 - what it is of, what it is on, and how it is made
    lock: Lock,
    base: Base,
    start: ContainerStart,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
) -> Environment:
    """Return the environment of a lock on a base; its layers are then in the store.

    Where the base has a stub for the lock's Python and not the Python, that of this machine comes
    along. `environment` is the user's: uv takes its index, proxy and certificates from it. Raises
    ClocheError `image.python` if neither is there, those of `interpreter.plan`,
    `unpacking.unpack` and `bytecode.compile_folder`.
    """
    stub = _stub(lock.python, base, start)
    root = f"{FOLDER}/{lock.digest.removeprefix('sha256:')[:_HEX]}"
    with (
        progress.task(f"Making the model's environment (Python {lock.python})") as task,
        store.laid_out(()) as folder,
    ):
        plans = [_packages(lock, base, stub, root, folder, environment)]
        if stub is not None:
            plans.insert(0, interpreter.plan(lock.python, stub, base, folder, environment))
        layers = tuple(MadeLayer(plan.what, plan.made(store, task)) for plan in plans)
    return Environment(root, layers, stub)


def _packages(  # noqa: PLR0917
    lock: Lock,
    base: Base,
    stub: PythonStub | None,
    root: str,
    folder: Path,
    environment: Mapping[str, str],
) -> TreeLayer:
    """Return the layer with the packages of a lock, which are unpacked in `folder`."""
    machine = MACHINES.get(base.platform.architecture, base.platform.architecture)
    glibc = base.software.glibc or _OLDEST_GLIBC
    prefix = _OF_BASE if stub is None else f"/{interpreter.prefix(lock.python)}"
    own = _own_files(root, lock.python, prefix)

    def tree() -> FileTree:
        place, unpacked = f"{root}/lib/python{lock.python}/site-packages", folder / "packages"
        unpacking.unpack(
            lock.text, unpacked, python=lock.python, architecture=machine, glibc=glibc,
            environment=environment,
        )  # fmt: skip
        bytecode.compile_folder(
            unpacked, python=lock.python, shown=f"/{place}", environment=environment
        )
        made = FileTree()
        for path, entry in own.items():
            made.add(path, entry)
        made.add_folder(place, unpacked, lambda _: True)
        return made

    what = f"environment of Python {lock.python}, {len(lock.packages)} packages"
    return TreeLayer(what, ("environment", _FORM, lock.digest, machine, glibc, stub is None), tree)


def _own_files(root: str, python: str, prefix: str) -> dict[str, TreeFile | TreeLink]:
    """Return what makes a virtual environment of packages, on the Python under `prefix`."""
    activate = _ACTIVATE.format(root=root)
    if prefix != _OF_BASE:
        activate += _LIBRARIES.format(prefix=prefix)
    settings = _SETTINGS.format(prefix=prefix, python=python)
    return {
        f"{root}/bin/activate": TreeFile(activate.encode()),
        f"{root}/pyvenv.cfg": TreeFile(settings.encode()),
        f"{root}/bin/python{python}": TreeLink(f"{prefix}/bin/python{python}"),
        **{f"{root}/bin/{name}": TreeLink(f"python{python}") for name in ("python", "python3")},
    }


def _stub(python: str, base: Base, start: ContainerStart) -> PythonStub | None:
    """Return the stub that a Python of our own needs; None where the base has that Python."""
    there = base.software.pythons
    if python in there:
        return None
    if python in base.software.stubs:
        return start.stubs[python]
    said = f"Python {' and '.join(there)}" if there else "no Python that it names"
    hint = (
        f'Lock it for that: `python: "{there[0]}"` in cloche.yaml. Or take'
        " `--base cpu`, which any Python from 3.8 to 3.13 can be put on."
        if there
        else f"Give the base the label {PYTHONS_LABEL} with the versions that it has a stub for."
    )
    raise ClocheError(
        "image.python",
        f"The model's environment is locked for Python {python}, and the base has {said}.",
        where=base.annotations.get(BASE_NAME, "--base"),
        hint=hint,
    )
