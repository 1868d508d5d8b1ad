"""pip, for the stage of a Dockerfile that installs an environment: bases may have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.environments import unpacking
from cloche.images.layering.file_tree import FileTree
from cloche.images.layering.tree_layers import TreeLayer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PACKAGES = "build/pip"
"""Where it lies in the stage, from its root."""
_LOCK = """\
pip==25.0.1 \\
    --hash=sha256:c46efd13b6aa8279f33f2864459c8ce587ea6a1a59ee20de055868d8f7688f7f
"""
"""The last pip for Python 3.8, the oldest that a model may be locked for."""
_FORM = 1
"""Counts the changes of what is taken from it."""


def plan(folder: Path, environment: Mapping[str, str]) -> TreeLayer:
    """Return pip as a tar archive, which is unpacked in `folder` from its wheel.

    uv takes its index, proxy and certificates from `environment`. Raises what `unpacking.unpack`
    does.
    """

    def tree() -> FileTree:
        unpacked, made = folder / "pip", FileTree()
        unpacking.unpack(
            _LOCK, unpacked, python="3.8", architecture="x86_64", glibc="2.17",
            environment=environment,
        )  # fmt: skip
        made.add_folder(PACKAGES, unpacked, lambda _: True)
        return made

    return TreeLayer("pip", ("pip", _FORM, _LOCK), tree)
