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
from cloche.environments import bytecode, compilers, from_source, portable, unpacking
from cloche.environments.compilers import RELEASES, Compiler
from cloche.errors import ClocheError
from cloche.images.bases.base import BASE_NAME, PYTHONS_LABEL
from cloche.images.layering import compiling, interpreter
from cloche.images.layering.file_tree import FileTree, TreeFile, TreeLink
from cloche.images.layering.layers import LayerLink, MadeLayer
from cloche.images.layering.tree_layers import TreeLayer
from cloche.model_config.names import ENVIRONMENT, STUB_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.artifacts import ContainerStart, Lock, PythonStub
    from cloche.images.bases.base import Base
    from cloche.images.layering.compiling import Sources
    from cloche.progress import Progress
    from cloche.store import Store

FOLDER = "cloche/environments"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The architectures of images in the words of wheels."""
_FORM = 3
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
class Place:
    """Where the environment of a lock lies in an image, and on which Python."""

    root: str
    """From the root of the image, without a leading slash."""
    python: str
    """`3.12`"""
    stub: PythonStub | None
    """The server's program for its Python; None where that is the base's own."""

    @property
    def prefix(self) -> str:
        """Return the prefix of its Python in the image."""
        return _OF_BASE if self.stub is None else f"/{interpreter.prefix(self.python)}"

    @property
    def packages(self) -> str:
        """Return the folder of its packages, without a leading slash."""
        return f"{self.root}/lib/python{self.python}/site-packages"

    def own_files(self) -> dict[str, TreeFile | TreeLink]:
        """Return what makes a virtual environment of packages."""
        activate = _ACTIVATE.format(root=self.root)
        if self.stub is not None:
            activate += _LIBRARIES.format(prefix=self.prefix)
        settings = _SETTINGS.format(prefix=self.prefix, python=self.python)
        binary = f"{self.root}/bin"
        return {
            f"{binary}/activate": TreeFile(activate.encode()),
            f"{self.root}/pyvenv.cfg": TreeFile(settings.encode()),
            f"{binary}/python{self.python}": TreeLink(f"{self.prefix}/bin/python{self.python}"),
            **{f"{binary}/{name}": TreeLink(f"python{self.python}")
               for name in ("python", "python3")},
        }  # fmt: skip

    def links(self, model: str) -> tuple[LayerLink, ...]:
        """Return what a model finds it by."""
        folder = f"models/{model}"
        links = (LayerLink(f"{folder}/{ENVIRONMENT}", f"/{self.root}"),)
        if self.stub is None:
            return links
        return (*links, LayerLink(f"{folder}/{STUB_FILE}", f"/{self.stub.path}"))


@dataclass(frozen=True, slots=True)
class Environment:
    """What an image holds of a lock."""

    place: Place
    layers: tuple[MadeLayer, ...]
    findings: tuple[Finding, ...] = ()
    """What another machine would make otherwise."""


def place_of(lock: Lock, base: Base, start: ContainerStart) -> Place:
    """Return where the environment of a lock lies on a base.

    Raises ClocheError `image.python` if the base has neither its Python nor a stub for it, and
    `image.built` if a package that was built from source does not run there.
    """
    _require_built(lock, base)
    root = f"{FOLDER}/{lock.digest.removeprefix('sha256:')[:_HEX]}"
    return Place(root, lock.python, _stub(lock.python, base, start))


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
        glibc = self.base.software.glibc or _OLDEST_GLIBC

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


def _require_built(lock: Lock, base: Base) -> None:
    """Raise `image.built` for a package that was compiled for other systems than the base's."""
    machine = MACHINES.get(base.platform.architecture, base.platform.architecture)
    there = base.software.glibc or _OLDEST_GLIBC
    for wheel in lock.built:
        if wheel.glibc is None:
            continue
        if not wheel.file.endswith(f"_{machine}.whl"):
            why = f"for another platform than {base.platform}"
        elif portable.is_newer(wheel.glibc, there):
            why = f"for glibc {wheel.glibc}, and the base has {there}"
        else:
            continue
        raise ClocheError(
            "image.built",
            f"{wheel.name} {wheel.version} exists only as source, and was built here {why}.",
            where=base.annotations.get(BASE_NAME, "--base"),
            hint="Build the image on a machine like the base, or take a release of it that has a"
            " wheel.",
        )


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
