"""A model that its own framework loads: what its loader, `FRAMEWORK_model.py`, gives.

A loader is a module with `load(path, how)`, which returns a model; `how` is what is known of the
file (`Loading.kind` as `kind`, and `Loading.options`). It runs in the model's environment, in three
places: where the model is converted, where its answers are the reference, and, if it is not
converted, where it is served. Syntax for Python 3.8.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]


class Unusable(Exception):
    """A model that cannot be loaded or called as it is described: what, and what to do."""

    def __init__(self, code: str, what: str, hint: str = "") -> None:
        """Keep an error code, a sentence, and a hint."""
        super().__init__(what)
        self.code, self.what, self.hint = code, what, hint


class OwnModel:
    """A loaded model, called with arrays by the names of its inputs."""

    def __init__(self) -> None:
        """Begin without notes."""
        self.notes: list[str] = []
        """Sentences about what was changed or left out when it was loaded."""

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name; raises whatever the framework raises."""
        raise NotImplementedError


def load(framework: str, path: str, how: dict[str, Any]) -> OwnModel:
    """Return the model in a file or folder, loaded by its framework.

    `how["code"]` are folders to import from, relative to that of the model. Raises Unusable, and
    whatever the framework raises.
    """
    for folder in how.get("code") or []:
        sys.path.insert(0, str(Path(path).parent / folder))
    loader = importlib.import_module(f"{framework}_model")
    model: OwnModel = loader.load(path, how)
    return model


def in_dims(array: Array, dims: list[int], *, batched: bool) -> Array:
    """Return an array in the `dims` of a configuration, where it has another number of axes.

    The first axis of a batch is none of them.
    """
    wanted = [len(array), *dims] if batched else list(dims)
    if array.ndim == len(wanted) or sum(size < 0 for size in wanted) > 1:
        return array
    return array.reshape(wanted)
