"""A program that JAX exported, called with named arrays.

The file keeps the shapes of its arguments and the keys of dictionaries among them, but no names of
positional arguments: those are `input`, or `input_0` and so on. Syntax for Python 3.8.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import export, tree_util
from own_model import OwnModel, Unusable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]


class JaxModel(OwnModel):
    """A program on the CPU, called with arrays by the names of its inputs."""

    def __init__(self, program: Any) -> None:
        """Take the exported program."""
        super().__init__()
        self.program = program
        leaves = tree_util.tree_unflatten(program.in_tree, list(range(len(program.in_avals))))
        args, kwargs = leaves
        named = _names(args, "input")
        named.update(_names(kwargs, ""))
        self.inputs = {name: program.in_avals[index] for name, index in named.items()}
        self._order = [name for name, _ in sorted(named.items(), key=lambda pair: pair[1])]

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name; raises whatever JAX raises."""
        flat = [
            np.asarray(arrays[name]).astype(self.inputs[name].dtype, copy=False)
            for name in self._order
        ]
        args, kwargs = tree_util.tree_unflatten(self.program.in_tree, flat)
        answer = self.program.call(*args, **kwargs)
        values = tree_util.tree_leaves(answer)
        places = tree_util.tree_unflatten(
            tree_util.tree_structure(answer), list(range(len(values)))
        )
        return {name: np.asarray(values[at]) for name, at in _names(places, "output").items()}


def _names(tree: Any, alone: str) -> dict[str, int]:
    """Return the leaves of a tree of numbers by name.

    A tree of one leaf is called `alone`, a position `alone_0`, and a key as it is.
    """
    if isinstance(tree, (tuple, list)) and len(tree) == 1:
        return _names(tree[0], alone)
    if isinstance(tree, int):
        return {alone: tree}
    named = {}
    for path, index in tree_util.tree_flatten_with_path(tree)[0]:
        parts = [_part(key) for key in path]
        first = [alone] if alone and parts[0].isdigit() else []
        named["_".join(first + parts)] = index
    return named


def _part(key: Any) -> str:
    """Return a step into a tree: the key of a dictionary, a position, the name of a field."""
    found = (getattr(key, kind) for kind in ("key", "idx", "name") if hasattr(key, kind))
    return str(next(found, ""))


def load(path: str, how: dict[str, Any]) -> JaxModel:  # noqa: ARG001 - there is one kind
    """Return the program in a file; raises Unusable for one that this release cannot read."""
    jax.config.update("jax_enable_x64", True)  # else 64-bit inputs are cut to 32
    data = bytearray(Path(path).read_bytes())
    try:
        program = export.deserialize(data)
    except Exception as error:
        raise Unusable(
            "conversion.load",
            f"JAX {jax.__version__} cannot read the program: {' '.join(str(error).split())[:400]}",
            "Export it again with a newer JAX, or name the release that wrote it in"
            " `requirements:`, such as jax==0.8.1.",
        ) from error
    return JaxModel(program)
