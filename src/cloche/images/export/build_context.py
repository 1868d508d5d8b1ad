"""What other builders make the image of a service from: a Dockerfile and the files that it copies.

    Dockerfile, .dockerignore
    models/…                         the model repository, but for its large files
    weights/1/…                      those, each for a layer of its own
    cloche/entrypoint, cloche/golden/…
    cloche/environments/<lock>/…     what makes an environment of packages
    cloche/pythons/3.12.tar          a Python that the base lacks
    build/…                          what the stages need that install packages; not in the image

A context is one layer of files of the store, so that it is written as a folder or as an archive,
the same bytes for the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import bytecode_script, normalization
from cloche.images import golden
from cloche.images.content import ENTRYPOINT, MODELS
from cloche.images.export import dockerfile
from cloche.images.export.dockerfile import Copy, Install
from cloche.images.image import MOST_LAYERS
from cloche.images.layering.file_tree import FileTree, TreeFile, TreeLink
from cloche.images.layering.layers import Layer, LayerFile, LayerLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.artifacts import Lock
    from cloche.images.bases.base import Base
    from cloche.images.content import Content
    from cloche.images.image import Blob
    from cloche.images.layering.environment import Environment
    from cloche.store import Store

NAMES = frozenset({"Dockerfile", ".dockerignore", "build", "cloche", MODELS, "weights"})
"""What may lie in the folder of a context."""
_IGNORED = """\
# What else lies in this folder does not travel to the builder.
*
!build
!cloche
!models
!weights
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock, and its environment in the image; of that the Python alone is made."""

    lock: Lock
    environment: Environment


@dataclass(frozen=True, slots=True)
class _Files:
    """The files and links of a context; small ones are put into the store."""

    store: Store
    files: dict[str, LayerFile] = field(default_factory=dict)
    links: dict[str, LayerLink] = field(default_factory=dict)

    def add(self, path: str, data: bytes) -> None:
        self.files[path] = LayerFile(path, len(data), self.store.add_bytes(data))

    def add_blob(self, path: str, blob: Blob) -> None:
        descriptor = blob.descriptor
        self.files[path] = LayerFile(path, descriptor.size, descriptor.digest)

    def add_layer(self, layer: Layer, prefix: str = "") -> None:
        for file in layer.files:
            path = f"{prefix}{file.path.removeprefix(f'{MODELS}/') if prefix else file.path}"
            self.files[path] = LayerFile(path, file.size, file.digest, file.executable)
        self.links.update((link.path, link) for link in layer.links)

    def layer(self) -> Layer:
        """Return them as one; raises `image.tree` where something lies behind a link."""
        tree = FileTree()
        for path in self.files:
            tree.add(path, TreeFile(b""))
        for link in self.links.values():
            tree.add(link.path, TreeLink(link.target))
        return Layer("build context", tuple(self.files.values()), tuple(self.links.values()))


def assemble(
    content: Content, base: Base, locked: Sequence[Locked], pip: Blob | None, store: Store
) -> Layer:
    """Return the context of a service's image on a base from a registry.

    What it holds is then in the store. `pip` is an archive of `installer.plan`, for an image with
    environments.
    """
    files = _Files(store)
    installs = tuple(_install(each, files) for each in locked)
    if pip is not None:
        files.add_blob("build/pip.tar", pip)
        files.add("build/normalize.py", _source(normalization.__file__))
        files.add("build/compile.py", _source(bytecode_script.__file__))
    pythons = sorted({each.python for each in installs if each.python})
    below = len(base.layers) + len(pythons) + len(installs)
    copies = _copies(content.layers(MOST_LAYERS - below), files)
    text = dockerfile.render(content, base, installs, copies)
    files.add("Dockerfile", text.encode())
    files.add(".dockerignore", _IGNORED.encode())
    return files.layer()


def _install(locked: Locked, files: _Files) -> Install:
    """Return how an environment is installed; add what that needs."""
    place = locked.environment.place
    name = place.root.rpartition("/")[2]
    requirements = f"build/{name}/requirements.txt"
    files.add(requirements, locked.lock.text.encode())
    for path, entry in place.own_files().items():
        if isinstance(entry, TreeLink):
            files.links[path] = LayerLink(path, entry.target)
        else:
            files.add(path, b"".join(entry.chunks()))
    wheels = f"build/{name}/wheels/" if locked.lock.built else None
    for wheel in locked.lock.built:
        path = f"{wheels}{wheel.file}"
        files.files[path] = LayerFile(path, wheel.size, wheel.digest)
    python = None
    for layer in locked.environment.layers:
        python = f"cloche/pythons/{place.python}.tar"
        files.add_blob(python, layer.blob)
    return Install(name, place, requirements, python, wheels)


def _copies(layers: Sequence[Layer], files: _Files) -> tuple[Copy, ...]:
    """Return which folder of the context becomes which of the image; add what is in them."""
    copies, weights = [], 0
    for layer in layers:
        paths = [*(file.path for file in layer.files), *(link.path for link in layer.links)]
        if paths == [ENTRYPOINT]:
            files.add_layer(layer)
            copies.append(Copy(layer.what, ENTRYPOINT, f"/{ENTRYPOINT}", "0755"))
        elif paths[0].startswith(f"{golden.FOLDER}/"):
            files.add_layer(layer)
            copies.append(Copy(layer.what, f"{golden.FOLDER}/", f"/{golden.FOLDER}/"))
        elif paths == [layer.what]:  # a large file, alone
            weights += 1
            files.add_layer(layer, f"weights/{weights}/")
            copies.append(Copy("weights", f"weights/{weights}/", f"/{MODELS}/"))
        else:
            files.add_layer(layer)
            copies.append(Copy(layer.what, f"{MODELS}/", f"/{MODELS}/"))
    return tuple(copies)


def _source(path: str) -> bytes:
    return Path(path).read_bytes()
