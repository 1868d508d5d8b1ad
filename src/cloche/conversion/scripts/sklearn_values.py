"""Values that an estimator knows: near its thresholds, of its categories, of its words.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn_columns
from interface import NUMPY, Tensor, Values
from sklearn_landmarks import landmarks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

_WORDS = ("good", "bad", "the", "film", "a")
_TEXTS = 8


class Known(Values):
    """Values by column, those of an example first."""

    def __init__(
        self, estimator: Any, names: list[str], width: int, example: Arrays | None
    ) -> None:
        """Take an estimator, the names of its inputs and, of a matrix, how many columns it has."""
        usable = {name: array for name, array in (example or {}).items() if array.size}
        super().__init__(usable)
        self.width = width
        self.positive = False
        """Whether numbers of which nothing is known are above zero: some models take logarithms."""
        matrix = names == [sklearn_columns.INPUT]
        self.landmarks = landmarks(estimator, list(range(width)) if matrix else names)
        self.categories = sklearn_columns.categories(estimator, names)
        self.words = sklearn_columns.vocabulary(estimator)

    def of(self, tensor: Tensor, sizes: dict[int, int], seed: int = 0) -> Array:
        """Return an array for an input with these sizes of its open axes."""
        given = self._example.get(tensor.name)
        if given is not None and (given.dtype.kind == "O") != (tensor.datatype == "BYTES"):
            given = None
        if given is not None and given.size and given.ndim == 2 and given.shape[1] > 1:
            random = np.random.default_rng(seed)
            rows = [random.choice(column, sizes.get(0, 1)) for column in given.T]
            return np.stack(rows, axis=1).astype(given.dtype)
        if given is not None and given.size:
            return super().of(tensor, sizes, seed)
        shape = [sizes.get(axis, 1) if size < 0 else size for axis, size in enumerate(tensor.shape)]
        random = np.random.default_rng([seed, *tensor.name.encode("utf-8")[:64]])
        if tensor.datatype == "BYTES":
            return self._texts(tensor.name, shape, random)
        known = self._numbers(tensor.name)
        if known is not None and tensor.datatype != "BOOL":
            return random.choice(known, shape).astype(NUMPY[tensor.datatype])
        if tensor.datatype.startswith("FP"):
            return self._floats(tensor, shape, random)
        return super().of(tensor, sizes, seed)

    def _numbers(self, name: str) -> Array | None:
        """Return the categories of a column of numbers."""
        known = [each for each in self.categories.get(name, []) if isinstance(each, (int, float))]
        return np.asarray(known) if known and not any(each != each for each in known) else None  # noqa: PLR0124

    def _texts(self, name: str, shape: list[int], random: Any) -> Array:
        found = np.empty(int(np.prod(shape)), dtype=object)
        known = [each for each in self.categories.get(name, []) if isinstance(each, str)]
        if known:
            found[:] = [each.encode("utf-8") for each in random.choice(known, len(found))]
            return found.reshape(shape)
        words = self.words.get(name) or list(_WORDS)
        found[:] = [
            " ".join(random.choice(words, random.integers(1, _TEXTS))).encode("utf-8")
            for _ in range(len(found))
        ]
        return found.reshape(shape)

    def _floats(self, tensor: Tensor, shape: list[int], random: Any) -> Array:
        """Return values among the landmarks of a column, some of them beyond."""
        dtype = NUMPY[tensor.datatype]
        array = random.standard_normal(shape)
        array = np.abs(array) + 0.1 if self.positive else array
        for column, values in self.columns(tensor):
            at = (Ellipsis, column) if isinstance(column, int) else Ellipsis
            low, high = float(values[0]), float(values[-1])
            room = (high - low) or abs(low) or 1.0
            count = array[at].shape
            array[at] = random.uniform(low - 0.2 * room, high + 0.2 * room, count)
        return array.astype(dtype)

    def columns(self, tensor: Tensor) -> list[tuple[int | None, Array]]:
        """Return the columns of a tensor whose landmarks are known; None is the whole tensor."""
        if tensor.name != sklearn_columns.INPUT:
            known = self.landmarks.get(tensor.name)
            return [] if known is None else [(None, known)]
        return [(place, known) for place, known in self.landmarks.items() if isinstance(place, int)]
