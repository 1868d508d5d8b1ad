"""Converting arrays, tables and plain values to the tensors that a model declares.

Values are checked before they are sent, so that an error can name the input and what it expects.
Numbers are converted if safe: whole numbers to any number type that holds them, floats to a
narrower float. Fractions never become whole numbers, and text never becomes numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cloche.artifacts import DATATYPES
from cloche.clients.kserve.tensors import Tensor
from cloche.errors import ErrorGroup, UsageError
from cloche.inputs import missing, ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cloche.artifacts import RepositoryMember, TensorSpec

_ALLOWED_KINDS = {"b": "b", "u": "ui", "i": "ui", "f": "uif"}


@dataclass(frozen=True, slots=True)
class Declared:
    """The inputs that a service declares, and whether requests are batches of items."""

    inputs: tuple[TensorSpec, ...]
    max_batch_size: int = 0

    @classmethod
    def of(cls, model: RepositoryMember) -> Self:
        """Return the declaration of the model that answers for a service."""
        return cls(model.inputs, model.max_batch_size)

    @property
    def required(self) -> tuple[TensorSpec, ...]:
        """Return the inputs that a request must have."""
        return tuple(tensor for tensor in self.inputs if not tensor.optional)


def fit(declared: Declared, given: Any) -> dict[str, Tensor]:
    """Return one tensor per input, in the declared type and shape.

    `given` maps names to array-likes, or is a table (a DataFrame: anything with `columns` and
    `to_numpy`), or one array-like if the model has one required input. Values may be missing where
    the input says so (`cloche.inputs.missing`). An item without its batch axis gets one. Raises
    UsageError, or ErrorGroup with all mistakes at once.
    """
    named = _by_name(declared, given)
    arrays: dict[str, NDArray[Any]] = {}
    errors: list[UsageError] = _wrong_names(declared, named)
    marks, lengths = ragged.marks_of(declared.inputs), ragged.lengths_of(declared.inputs)
    for tensor in declared.inputs:
        if tensor.name not in named:
            continue
        mark = marks.get(tensor.name)
        try:
            value = named[tensor.name]
            if tensor.name in lengths:
                value, told = ragged.padded(tensor, value)
                if told is not None:
                    arrays[lengths[tensor.name].name] = told
            value, gaps = missing.filled(tensor, value, marked=mark is not None)
            arrays[tensor.name] = _fit(tensor, value)
            if gaps is not None and mark is not None:
                arrays[mark.name] = gaps.reshape(arrays[tensor.name].shape)
        except UsageError as error:
            errors.append(error)
    if not errors:
        errors = _wrong_batches(declared, arrays)
    ErrorGroup("infer.inputs", "The request does not fit the model.", errors).raise_if_any()
    types = {tensor.name: tensor.datatype for tensor in declared.inputs}
    return {name: Tensor(array, types[name]) for name, array in arrays.items()}


def expectation(tensor: TensorSpec) -> str:
    """Return an input's type and shape as text: `FP32 [-1, 64]`."""
    return f"{tensor.datatype} {list(tensor.shape)}"


def _by_name(declared: Declared, given: Any) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    own = [tensor for tensor in declared.inputs if tensor.marks is None]
    names = [tensor.name for tensor in own if not tensor.optional] or [t.name for t in own]
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        columns = {str(column): given[column].to_numpy() for column in given.columns}
        if len(names) > 1 or set(names) <= set(columns):
            return columns
        given = given.to_numpy()
    if len(names) == 1:
        return {names[0]: given}
    listed = ", ".join(f"{tensor.name} ({expectation(tensor)})" for tensor in declared.inputs)
    raise UsageError(
        "infer.input.unnamed",
        f"The model has {len(declared.inputs)} inputs, but the values have no names.",
        hint=f"Name them: {listed}.",
    )


def _wrong_names(declared: Declared, named: Mapping[str, Any]) -> list[UsageError]:
    known = {tensor.name: tensor for tensor in declared.inputs}
    listed = ", ".join(f"{tensor.name} ({expectation(tensor)})" for tensor in declared.inputs)
    errors = [
        UsageError(
            "infer.input.unknown",
            f"The model has no input {name!r}.",
            hint=f"Its inputs are {listed}.",
        )
        for name in named
        if name not in known
    ]
    errors += [
        UsageError(
            "infer.input.missing",
            f"The input {tensor.name!r} is missing.",
            hint=f"It takes {expectation(tensor)}.",
        )
        for tensor in declared.required
        if tensor.name not in named
    ]
    return errors


def _fit(tensor: TensorSpec, value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError:
        raise _mismatch(tensor, "shape", "is ragged: its rows differ in length") from None
    return _reshape(tensor, _convert(tensor, array))


def _convert(tensor: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if tensor.datatype == "BYTES":
        return _texts(tensor, array)
    wanted = np.dtype(DATATYPES[tensor.datatype].numpy)
    if array.size == 0 and array.dtype == np.float64:
        return array.astype(wanted)  # an empty list has no type of its own
    if array.dtype.kind not in _ALLOWED_KINDS[wanted.kind]:
        raise _mismatch(tensor, "datatype", f"is of type {_type_text(array)}")
    if array.size and wanted.kind in "ui":
        limits = np.iinfo(wanted)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise _mismatch(tensor, "datatype", f"has values outside {limits.min} to {limits.max}")
    with np.errstate(over="ignore"):
        converted = array.astype(wanted, copy=False)
    if wanted.kind == "f" and not np.array_equal(np.isfinite(array), np.isfinite(converted)):
        raise _mismatch(tensor, "datatype", "has values that are too large")
    return converted


def _texts(tensor: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "O" and all(isinstance(item, str | bytes) for item in array.flat):
        return array
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.size == 0:
        return array.astype(object)
    raise _mismatch(tensor, "datatype", f"is of type {_type_text(array)}")


def _reshape(tensor: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in the declared shape, with an axis of 1 added if only that is missing.

    A single value has every axis of size 1.
    """
    candidates = [array.shape, (1, *array.shape), (*array.shape, 1)]
    if not array.ndim:
        candidates.append((1,) * len(tensor.shape))  # the value of one row
    for shape in candidates:
        if _matches(tensor.shape, shape):
            return array.reshape(shape)
    raise _mismatch(tensor, "shape", f"has the shape {list(array.shape)}")


def _matches(declared: Sequence[int], shape: Sequence[int]) -> bool:
    return len(declared) == len(shape) and all(
        size in {-1, given} for size, given in zip(declared, shape, strict=True)
    )


def _wrong_batches(declared: Declared, arrays: Mapping[str, NDArray[Any]]) -> list[UsageError]:
    if not declared.max_batch_size:
        return []
    sizes = {name: array.shape[0] for name, array in arrays.items() if array.ndim}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        hint = "Give every input the same number of items along its first axis."
        return [
            UsageError("infer.input.batch", f"The inputs differ in length: {listed}.", hint=hint)
        ]
    size = max(sizes.values(), default=0)
    if size > declared.max_batch_size:
        return [
            UsageError(
                "infer.input.batch",
                f"The request has {size} items; the service takes at most "
                f"{declared.max_batch_size} in one request.",
                hint="Send fewer at a time, or raise batching.max_batch_size and deploy again.",
            )
        ]
    return []


def _mismatch(tensor: TensorSpec, aspect: str, what: str) -> UsageError:
    return UsageError(
        f"infer.input.{aspect}",
        f"The input {tensor.name!r} {what}, but {expectation(tensor)} is expected.",
        hint="-1 means any size. `cloche infer NAME --example` prints a ready request.",
    )


def _type_text(array: NDArray[Any]) -> str:
    return {"U": "text", "S": "bytes", "O": "mixed values", "b": "true/false"}.get(
        array.dtype.kind, str(array.dtype)
    )
