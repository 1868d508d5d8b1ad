"""A request for a model whose inputs nothing declares: arrays as they stand in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UNNAMED = "input"
"""The name of an array without one."""


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a JSON, .npy, .npz or CSV file; fractions in JSON are FP32.

    Raises UsageError `spec.example` for another kind of file, and for values that are neither
    numbers nor text.
    """
    from cloche.inputs import request_file
    from cloche.inputs.declared import Declared

    try:
        content = request_file.read(str(path), Declared(()))
        named = content if isinstance(content, Mapping) else {UNNAMED: content}
        return {str(name): _array(value) for name, value in named.items()}
    except (ClocheError, ValueError, TypeError) as error:
        why = error.what if isinstance(error, ClocheError) else f"{error}."
        raise UsageError(
            "spec.example",
            f"The example cannot be used before the model's inputs are known. {why}",
            where=str(path),
            hint="Give arrays as .npy, .npz, JSON or CSV: nothing else tells their sizes.",
        ) from None


def _array(value: Any) -> NDArray[Any]:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.kind in "UO" and all(isinstance(each, str) for each in array.ravel()):
        return _of_text(array.astype(object))
    if array.dtype.kind not in "biuf":
        raise ValueError(f"it holds {array.dtype} values, and only numbers and text have a size")
    if isinstance(value, np.ndarray):
        return array
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _of_text(array: NDArray[Any]) -> NDArray[Any]:
    """Return text, or the numbers that the cells of a table are: an empty one is missing."""
    import numpy as np

    cells = [each.strip() for each in array.ravel()]
    try:
        numbers = np.array([float(each or "nan") for each in cells])
    except ValueError:
        return array
    return array if np.isnan(numbers).all() else numbers.reshape(array.shape)
