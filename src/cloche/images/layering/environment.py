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

from cloche.artifacts import Finding, Severity
from cloche.environments import bytecode, compilers, from_source, unpacking
from cloche.environments.compilers import RELEASES, Compiler
from cloche.images.layering import compiling, interpreter
from cloche.images.layering.file_tree import FileTree
from cloche.images.layering.layers import MadeLayer
from cloche.images.layering.place import MACHINES, OLDEST_GLIBC, Place, place_of
from cloche.images.layering.tree_layers import TreeLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.artifacts import ContainerStart, Lock
    from cloche.images.bases.base import Base
    from cloche.images.layering.compiling import Sources
    from cloche.progress import Progress
    from cloche.store import Store

_FORM = 3
"""Counts the changes of what an environment holds."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What an image holds of a lock."""

    place: Place
    layers: tuple[MadeLayer, ...]
    findings: tuple[Finding, ...] = ()
    """What another machine would make otherwise."""


def make(  # noqa: PLR0917 - what it is of, what it is on, and how it is made
    lock: Lock,
    base: Base,
    start: ContainerStart,
    store: Store,
    progress: Progress,
    sources: Sources,
) -> Environment:
    """Return the environment of a lock on a base; its layers are then in the store.

    Where the base has a stub for the lock's Python and not the Python, that of this machine comes
    along. Raises the errors of `place_of`, `compiling.choose`, `interpreter.find`, `.plan`,
    `unpacking.unpack` and `bytecode.compile_folder`.
    """
    found = place_of(lock, base, start)
    with (
        progress.task(f"Making the model's environment (Python {lock.python})") as task,
        store.laid_out(()) as folder,
    ):
        work = _Work(lock, base, found, folder, sources.environment, store)

        def choose() -> Compiler:
            place = folder / "compiler"
            return compiling.choose(lock.python, place, store, sources, progress)

        plans, compiler = work.plans(choose)
        layers = tuple(MadeLayer(plan.what, plan.made(store, task)) for plan in plans)
    return Environment(found, layers, _findings(lock, found, compiler))


def known(
    lock: Lock, base: Base, start: ContainerStart, store: Store, environment: Mapping[str, str]
) -> Environment | None:
    """Return what `make` does if nothing has to be made; raises what `place_of` does."""
    found = place_of(lock, base, start)
    work = _Work(lock, base, found, store.root, environment, store)

    def choose() -> Compiler:
        installed = compilers.installed(lock.python, environment, store.root)
        return installed or Compiler(lock.python, ())

    plans, compiler = work.plans(choose)
    blobs = [(plan.what, plan.known(store)) for plan in plans]
    layers = tuple(MadeLayer(what, blob) for what, blob in blobs if blob is not None)
    if len(layers) < len(plans):
        return None
    return Environment(found, layers, _findings(lock, found, compiler))


def brought(
    place: Place, base: Base, folder: Path, environment: Mapping[str, str]
) -> tuple[TreeLayer, ...]:
    """Return the layer with the Python that an environment brings; none where the base has it.

    Raises the errors of `interpreter.find` and `interpreter.plan`.
    """
    if place.stub is None:
        return ()
    found = interpreter.find(place.python, base, folder, environment)
    return (interpreter.plan(found, place.stub, base, folder),)


@dataclass(frozen=True, slots=True)
class _Work:
    """The layers of an environment, made in a folder where they have to be."""

    lock: Lock
    base: Base
    place: Place
    folder: Path
    environment: Mapping[str, str]
    store: Store

    def plans(self, choose: Callable[[], Compiler]) -> tuple[tuple[TreeLayer, ...], Compiler]:
        """Return the layers, and the Python that compiles the packages.

        A Python that comes along compiles for itself. `choose` says which one does else; it is not
        asked where the store has what every machine makes.
        """
        if self.place.stub is not None:
            found = interpreter.find(self.place.python, self.base, self.folder, self.environment)
            own = interpreter.compiler(found)
            python = interpreter.plan(found, self.place.stub, self.base, self.folder)
            return (python, self._packages(own)), own
        compiler = Compiler(RELEASES.get(self.lock.python, self.lock.python), ())
        if self._packages(compiler).known(self.store) is None:
            compiler = choose()
        return (self._packages(compiler),), compiler

    def _packages(self, compiler: Compiler) -> TreeLayer:
        """Return the layer with the packages of the lock."""
        lock, place, architecture = self.lock, self.place, self.base.platform.architecture
        machine = MACHINES.get(architecture, architecture)
        glibc = self.base.software.glibc or OLDEST_GLIBC

        def tree() -> FileTree:
            unpacked = self.folder / "packages"
            with from_source.wheels(lock.built, self.store) as wheels:
                unpacking.unpack(
                    lock.text, unpacked, python=lock.python, architecture=machine, glibc=glibc,
                    environment=self.environment, wheels=wheels,
                )  # fmt: skip
            bytecode.compile_folder(unpacked, compiler, shown=f"/{place.packages}")
            made = FileTree()
            for path, entry in place.own_files().items():
                made.add(path, entry)
            made.add_folder(place.packages, unpacked, lambda _: True)
            return made

        own = place.stub is not None
        inputs = (
            "environment", _FORM, lock.digest, machine, glibc, own, compiler.release
        )  # fmt: skip
        what = f"environment of Python {lock.python}, {len(lock.packages)} packages"
        said = "" if own or compiler.is_chosen else f", compiled by {compiler.release}"
        return TreeLayer(f"{what}{said}", inputs, tree)


def _findings(lock: Lock, place: Place, compiler: Compiler) -> tuple[Finding, ...]:
    """Return what makes the digest that of this machine."""
    release = compiler.release
    if place.stub is not None:
        return (
            Finding(
                Severity.NOTE,
                "image.python.own",
                f"Python {release} of this machine is in the image, so another machine makes the"
                " same digest with the same files of it only.",
                where=str(compiler.command[0]),
                hint=f"Install it with uv on each: `uv python install {release}`.",
            ),
        )
    if compiler.is_chosen:
        return ()
    chosen = RELEASES.get(lock.python, f"{lock.python}.…")
    return (
        Finding(
            Severity.WARNING,
            "image.bytecode",
            f"Python {release} of this machine compiled the packages, since {chosen} is not here"
            " and was not reached: a machine that has it makes another digest.",
            hint=f"Install it: `uv python install {chosen}`.",
        ),
    )
