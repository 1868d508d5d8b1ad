"""Inputs made from a signature, the same for the same model on any machine.

Most models accept the values: floats in [0, 1), integers 0 and 1 (valid as token, class or mask),
short words. Later candidates have larger shapes, because some networks shrink a small image to
nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from cloche.artifacts import TensorSpec
    from cloche.verification.direct_run import Tensors

_SIZES = (4, 32, 224)
_WORDS = ("north", "east", "south", "west")
_TIMES = ("2024-01-31T12:00:00", "2024-02-29T00:00:00", "2024-12-31T23:59:59")
_MASK = re.compile(r"mask", re.IGNORECASE)
_MOST_ELEMENTS = 16 * 2**20


def candidates(specs: tuple[TensorSpec, ...], *, rows: int, seed: str) -> Iterator[Tensors]:
    """Yield requests to try in turn; `rows` > 0 is the size of the first axis of every input.

    `seed` is a digest; its hexadecimal digits seed the random numbers.
    """
    import numpy as np

    dynamic = any(-1 in spec.shape[1 if rows else 0 :] for spec in specs)
    texts = any(spec.datatype == "BYTES" for spec in specs)
    for size in _SIZES if dynamic else _SIZES[:1]:
        for words in (_WORDS, _TIMES) if texts else (_WORDS,):
            shapes = {spec.name: _shape(spec, rows, size) for spec in specs}
            if any(np.prod(shape) > _MOST_ELEMENTS for shape in shapes.values()):
                continue
            generator = np.random.default_rng(int(seed.rpartition(":")[2][:16], 16))
            yield {spec.name: _values(spec, shapes[spec.name], generator, words) for spec in specs}


def _shape(spec: TensorSpec, rows: int, size: int) -> tuple[int, ...]:
    shape = [size if axis < 0 else axis for axis in spec.shape]
    if rows and shape:
        shape[0] = rows
    return tuple(shape)


def _values(
    spec: TensorSpec, shape: tuple[int, ...], generator: Generator, words: tuple[str, ...]
) -> Any:
    import numpy as np

    if spec.datatype == "BYTES":
        chosen = generator.integers(0, len(words), size=shape)
        return np.array([words[i] for i in np.ravel(chosen)], dtype=object).reshape(shape)
    dtype = np.dtype(DATATYPES[spec.datatype].numpy)
    if _MASK.search(spec.name):
        return np.ones(shape, dtype)
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    return np.asarray(generator.integers(0, 2, size=shape)).astype(dtype)
