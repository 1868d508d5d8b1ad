"""Debian's Python as a program of this machine: it compiles what runs on Cloche's own base.

It is that of the base, byte for byte, with the C library of the base: it runs on any Linux.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.environments.compilers import RELEASES, Compiler
from cloche.images.bases.debian import fetching, filesystem, packages
from cloche.images.layering.file_tree import FileTree, TreeFile, TreeLink

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.store import Store

_PACKAGES = frozenset({
    "libc6", "libexpat1", "zlib1g", "python3.11-minimal", "libpython3.11-minimal",
    "libpython3.11-stdlib",
})  # fmt: skip
"""The interpreter, and what it is linked with."""
_MODE = 0o755


def lay_out(
    folder: Path, architecture: str, store: Store, mirror: str, progress: Progress
) -> Compiler:
    """Return the Python, laid out in a new folder; its packages are then in the store.

    `architecture` is this machine's, in the words of images. Raises ClocheError
    `image.debian.platform` for one that it is not made for, and those of `fetching.fetch`.
    """
    wanted = [each for each in packages.pinned(architecture) if each.name in _PACKAGES]
    fetching.fetch(wanted, store, mirror, progress)
    trees = [make(fetching.opened(wanted, store)) for make in _PARTS]
    for tree in trees:
        _write(tree, folder)
    (loader,) = (folder / "usr/lib").glob("*-linux-gnu/ld-linux-*.so.*")
    program = folder / "usr/bin" / f"python{packages.PYTHON}"
    return Compiler(
        RELEASES[packages.PYTHON],
        (str(loader), "--library-path", str(loader.parent), str(program)),
        {"PYTHONHOME": str(folder / "usr")},
    )


_PARTS = (filesystem.of_system, filesystem.of_python)


def _write(tree: FileTree, folder: Path) -> None:
    """Write the files of a tree; one that is a link to another is a file of its own."""
    for path, entry in tree.entries.items():
        found = _target(tree, path) if isinstance(entry, TreeLink) else entry
        if isinstance(found, TreeFile):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"".join(found.chunks()))
            place.chmod(_MODE if found.executable else 0o644)


def _target(tree: FileTree, path: str) -> object:
    """Return the entry in the same folder that a link names; None for others, which are no use."""
    link = tree.entries[path]
    target = link.target if isinstance(link, TreeLink) else ""
    return tree.entries.get(str(PurePosixPath(path).with_name(target))) if _plain(target) else None


def _plain(target: str) -> bool:
    return target not in {"", ".", ".."} and "/" not in target
