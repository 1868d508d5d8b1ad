"""A Python of this machine in an image whose base has a stub for it, and not the Python.

    cloche/pythons/3.12/bin/python3.12
    cloche/pythons/3.12/lib/libpython3.12.so.1.0, …   and what it is linked with
    cloche/pythons/3.12/lib/python3.12/…              its standard library and its bytecode

All models of that version share the layer. Its digest depends on the Python that this machine has:
two machines make the same image where uv installed the same release on both.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cloche.environments import bytecode, interpreters, portable
from cloche.environments.compilers import Compiler
from cloche.errors import ClocheError
from cloche.images import platforms
from cloche.images.layering.file_tree import FileTree, TreeFile, TreeLink
from cloche.images.layering.tree_layers import TreeLayer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import PythonStub
    from cloche.environments.interpreters import Interpreter
    from cloche.environments.portable import PortablePython
    from cloche.images.bases.base import Base

_FORM = 1
"""Counts the changes of what comes along."""


def prefix(python: str) -> str:
    """Return where a Python lies, from the root of the image."""
    return f"cloche/pythons/{python}"


def find(python: str, base: Base, folder: Path, environment: Mapping[str, str]) -> Interpreter:
    """Return this machine's Python of a version; uv, which runs in `folder`, fetches a missing one.

    Raises ClocheError `image.python.platform` for an image of another platform, and
    `environment.python` if there is none.
    """
    if base.platform != platforms.here():
        raise ClocheError(
            "image.python.platform",
            f"The base has no Python {python}, and this machine has none for {base.platform}.",
            hint=f"Build on a machine of that platform, or lock the model for Python"
            f" {' or '.join(base.software.pythons)}.",
        )
    return interpreters.find([python], environment=environment, folder=folder)


def compiler(found: Interpreter) -> Compiler:
    """Return the Python as the one that writes the bytecode of what runs on it."""
    return Compiler(".".join(map(str, found.version)), (str(found.executable),))


def plan(found: Interpreter, stub: PythonStub, base: Base, folder: Path) -> TreeLayer:
    """Return the layer with a Python, made in `folder`.

    Raises ClocheError `environment.python` if it does not run on the base.
    """
    version = compiler(found).release
    inputs = ("python", _FORM, version, str(found.executable), _stamp(found), stub)

    def tree() -> FileTree:
        return _tree(found, stub, base, folder / "python")

    return TreeLayer(f"Python {version} of the machine that built this", inputs, tree)


def _stamp(found: Interpreter) -> list[int]:
    """Return what changes when the interpreter is installed anew."""
    return [
        value
        for path in (found.executable, found.library)
        for value in (path.stat().st_size, path.stat().st_mtime_ns)
    ]


def _tree(found: Interpreter, stub: PythonStub, base: Base, folder: Path) -> FileTree:
    whole = portable.of(found)
    _require_glibc(whole, found, base)
    python, place = found.minor, prefix(found.minor)
    library, tree = f"lib/python{python}/", FileTree()
    for path, source in whole.files.items():
        executable = path.startswith("bin/")
        tree.add(f"{place}/{path}", TreeFile(source, executable))
        if path.startswith(library) and path.endswith(".py"):
            copy = folder / path.removeprefix(library)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    for path in stub.libraries:
        tree.add(path, TreeLink(f"/{place}/lib/{found.library.name}"))
    bytecode.compile_folder(folder, compiler(found), shown=f"/{place}/{library.rstrip('/')}")
    tree.add_folder(f"{place}/{library.rstrip('/')}", folder, lambda path: path.endswith(".pyc"))
    return tree


def _require_glibc(whole: PortablePython, found: Interpreter, base: Base) -> None:
    there = base.software.glibc
    if there is not None and portable.is_newer(whole.glibc, there):
        raise ClocheError(
            "environment.python",
            f"Python {whole.version} of this machine is built for glibc {whole.glibc}, and the base"
            f" has {there}.",
            where=str(found.executable),
            hint=f"Install one that runs on older systems, with uv: `uv python install"
            f" {found.minor}`.",
        )
