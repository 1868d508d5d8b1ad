"""Where the environment of a lock lies in an image, on which Python, and whether it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.environments import portable
from cloche.errors import ClocheError
from cloche.images.bases.base import BASE_NAME, PYTHONS_LABEL
from cloche.images.layering import interpreter
from cloche.images.layering.file_tree import TreeFile, TreeLink
from cloche.images.layering.layers import LayerLink
from cloche.model_config.names import ENVIRONMENT, STUB_FILE

if TYPE_CHECKING:
    from cloche.artifacts import ContainerStart, Lock, PythonStub
    from cloche.images.bases.base import Base

FOLDER = "cloche/environments"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The architectures of images in the words of wheels."""
OLDEST_GLIBC = "2.35"
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


def place_of(lock: Lock, base: Base, start: ContainerStart) -> Place:
    """Return where the environment of a lock lies on a base.

    Raises ClocheError `image.python` if the base has neither its Python nor a stub for it, and
    `image.built` if a package that was built from source does not run there.
    """
    _require_built(lock, base)
    root = f"{FOLDER}/{lock.digest.removeprefix('sha256:')[:_HEX]}"
    return Place(root, lock.python, _stub(lock.python, base, start))


def _require_built(lock: Lock, base: Base) -> None:
    """Raise `image.built` for a package that was compiled for other systems than the base's."""
    machine = MACHINES.get(base.platform.architecture, base.platform.architecture)
    there = base.software.glibc or OLDEST_GLIBC
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
