"""Cloche's own base: Debian's packages, their Python, and a server from its wheels.

Its layers are what changes least first, each with its inputs: what is there is not made again.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.artifacts import digest_of, encode
from cloche.environments import bytecode, unpacking
from cloche.environments.compilers import RELEASES, Compiler
from cloche.images import manifest
from cloche.images.bases import base as bases
from cloche.images.bases.debian import fetching, filesystem, packages
from cloche.images.config import CREATED, USER
from cloche.images.image import CONFIG, SmallBlob
from cloche.images.layering import compiling
from cloche.images.layering.compiling import Sources
from cloche.images.layering.file_tree import FileTree, TreeFile
from cloche.images.layering.place import MACHINES
from cloche.images.layering.tree_layers import TreeLayer
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.artifacts import ServerBase, ServerPart
    from cloche.images.bases.debian.packages import Package
    from cloche.images.image import Image, Platform
    from cloche.images.sources.places import StoredBlob
    from cloche.progress import Progress
    from cloche.store import Store

PYTHON = packages.PYTHON
PACKAGES = filesystem.PACKAGES
_FORM = 4
"""Counts the changes of what is taken from the same packages and wheels."""
_CHOSEN = Compiler(RELEASES[PYTHON], ())
"""The Python whose bytecode every machine makes."""


def make(
    server: ServerBase, platform: Platform, store: Store, sources: Sources, progress: Progress
) -> Image:
    """Return the base for a platform, whose layers are then in the store.

    The same version of Cloche gives the same digest everywhere, offline once its parts are in the
    store and in uv's cache. Raises ClocheError
    `image.debian.…`, and the errors of `unpacking.unpack` and `bytecode.compile_folder`.
    """
    pinned = packages.pinned(platform.architecture)
    with store.working(), ExitStack() as stack:
        workshop = _Workshop(server, platform, pinned, store, sources, progress, _CHOSEN, stack)
        if any(plan.known(store) is None for plan in workshop.layers()):
            fetching.fetch(pinned, store, sources.mirror, progress)
            workshop = workshop.with_compiler()
        plans = workshop.layers()
        with progress.task("Making the base") as task:
            made = tuple(plan.made(store, task) for plan in plans)
        return _image(server, platform, plans, made)


def known(server: ServerBase, platform: Platform, store: Store) -> Image | None:
    """Return the base if it was made before and is in the store."""
    pinned, nowhere = packages.pinned(platform.architecture), Sources("", {})
    with ExitStack() as stack:
        silent = SilentProgress()
        workshop = _Workshop(server, platform, pinned, store, nowhere, silent, _CHOSEN, stack)
        plans = workshop.layers()
        blobs = [blob for plan in plans if (blob := plan.known(store)) is not None]
    return _image(server, platform, plans, blobs) if len(blobs) == len(plans) else None


@dataclass(frozen=True)
class _Workshop:
    """Makes the layers, with temporary folders that last until `stack` ends."""

    server: ServerBase
    platform: Platform
    pinned: Sequence[Package]
    store: Store
    sources: Sources
    progress: Progress
    compiler: Compiler
    stack: ExitStack = field(repr=False)

    def with_compiler(self) -> _Workshop:
        """Return a workshop whose compiler can be run."""
        folder = self._folder() / "compiler"
        found = compiling.choose(PYTHON, folder, self.store, self.sources, self.progress)
        return replace(self, compiler=found)

    def layers(self) -> tuple[TreeLayer, ...]:
        """Return the layers, the one that changes least first."""
        form = (_FORM, self.compiler.release)
        debian = (*form, digest_of(encode(self.pinned)))
        wheels = (*form, digest_of(self.server.requirements.encode()), PYTHON, packages.GLIBC)
        architecture = self.platform.architecture
        said = "" if self.compiler.is_chosen else f", compiled by {self.compiler.release}"
        return (
            TreeLayer("Debian 12", ("system", *debian), self._system),
            TreeLayer(f"Python {PYTHON}{said}", ("python", *debian), self._python),
            *(
                TreeLayer(
                    part.what,
                    (part.what, architecture, *part.inputs, *wheels),
                    partial(self._part, part),
                )
                for part in self.server.parts
            ),
        )

    def _system(self) -> FileTree:
        return filesystem.of_system(fetching.opened(self.pinned, self.store))

    def _python(self) -> FileTree:
        tree = filesystem.of_python(fetching.opened(self.pinned, self.store))
        self._compile(tree, filesystem.LIBRARY)
        return tree

    def _part(self, part: ServerPart) -> FileTree:
        tree = FileTree()
        for file in part.files(self._unpacked):
            tree.add(file.path, TreeFile(file.source, file.executable))
        if part.sources is not None:
            self._compile(tree, part.sources)
        return tree

    @cached_property
    def _unpacked(self) -> Path:
        """The folder of the server's wheels."""
        folder = self._folder() / "packages"
        with self.progress.task("Unpacking the server's wheels"):
            unpacking.unpack(
                self.server.requirements,
                folder,
                python=PYTHON,
                architecture=MACHINES[self.platform.architecture],
                glibc=packages.GLIBC,
                environment=self.sources.environment,
            )
        return folder

    def _compile(self, tree: FileTree, place: str) -> None:
        """Add the bytecode of the sources under a folder of the image."""
        folder = self._folder() / "sources"
        for path, entry in tree.entries.items():
            if isinstance(entry, TreeFile) and path.startswith(f"{place}/") and _is_source(path):
                copy = folder / path.removeprefix(f"{place}/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(b"".join(entry.chunks()))
        bytecode.compile_folder(folder, self.compiler, shown=f"/{place}")
        tree.add_folder(place, folder, lambda path: not _is_source(path))

    def _folder(self) -> Path:
        # On the disk of the store, which has room for what becomes a layer.
        return self.stack.enter_context(self.store.laid_out(()))


def _is_source(path: str) -> bool:
    return path.endswith(".py")


def _image(
    server: ServerBase, platform: Platform, plans: Sequence[TreeLayer], layers: Sequence[StoredBlob]
) -> Image:
    config: dict[str, Any] = {
        "architecture": platform.architecture,
        "os": platform.os,
        "created": CREATED,
        "config": {
            "User": USER,
            "WorkingDir": "/",
            "Env": [f"{name}={value}" for name, value in server.environment.items()],
            "Cmd": ["/bin/bash"],
            "Labels": {**server.labels, bases.GLIBC_LABEL: packages.GLIBC},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.descriptor.digest for layer in layers]},
        "history": [
            {"created": CREATED, "created_by": "cloche image base", "comment": plan.what}
            for plan in plans
        ],
    }
    return manifest.compose(SmallBlob(encode(config), CONFIG), tuple(layers), {}, platform)
