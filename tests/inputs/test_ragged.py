"""Lists of unequal length: filled up with their lengths beside them, and lists again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.artifacts import TensorSpec
from cloche.errors import UsageError
from cloche.inputs import missing, request_table
from cloche.inputs.declared import Declared, fit

X = TensorSpec("x", "FP64", (-1, -1))
DEEP = TensorSpec("x", "INT64", (-1, -1, -1))
TEXT = TensorSpec("x", "BYTES", (-1, -1))
JSON = TensorSpec("x", "BYTES", (-1, -1), holds="json")


def with_lengths(spec: TensorSpec) -> tuple[TensorSpec, ...]:
    shape = spec.shape[:-1] if len(spec.shape) > 2 else (-1, 1)
    return spec, TensorSpec("x.lengths", "INT64", shape, optional=True, marks="x")


@pytest.mark.parametrize(
    ("spec", "given", "filled", "lengths"),
    [
        (X, [[1, 2], [3]], [[1, 2], [3, 0]], [[2], [1]]),
        (X, [[1, 2], [3, 4]], [[1, 2], [3, 4]], None),
        (X, [[], [3.5]], [[0], [3.5]], [[0], [1]]),
        (X, [1, 2], [[1, 2]], None),
        (X, [[1, 2], None], [[1, 2], [0, 0]], [[2], [-1]]),
        (X, np.array([np.array([1.0]), np.array([2.0, 3.0])], object), [[1, 0], [2, 3]],
         [[1], [2]]),
        (DEEP, [[[1], [2, 3]], [[4]]], [[[1, 0], [2, 3]], [[4, 0], [0, 0]]], [[1, 2], [1, -1]]),
        (DEEP, [[1], [2, 3]], [[[1, 0], [2, 3]]], [[1, 2]]),
        (TEXT, [["a"], ["b", "c"]], [["a", ""], ["b", "c"]], [[1], [2]]),
        (JSON, [[{"a": 1}], []], [['{"a": 1}'], ["null"]], [[1], [0]]),
    ],
)  # fmt: skip
def test_what_is_sent(spec: TensorSpec, given: Any, filled: Any, lengths: Any) -> None:
    sent = fit(Declared(with_lengths(spec)), {"x": given})
    assert sent["x"].array.tolist() == filled
    assert (sent["x.lengths"].array.tolist() if "x.lengths" in sent else None) == lengths


@pytest.mark.parametrize("given", [[[1, [2]], [3]], [[1], 2], [["a"], [1, 2]], [{"a": 1}, [1]]])
def test_what_is_no_list_of_lists_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="'x'"):
        fit(Declared(with_lengths(X)), {"x": given})


def test_lists_without_lengths_are_refused_as_before() -> None:
    with pytest.raises(UsageError, match="ragged"):
        fit(Declared((X,)), {"x": [[1, 2], [3]]})


def test_a_table_of_pandas_has_lists() -> None:
    sent = fit(Declared(with_lengths(X)), pd.DataFrame({"x": [[1.0], [2.0, 3.0]]}))
    assert sent["x.lengths"].array.tolist() == [[1], [2]]


def test_cells_of_csv_hold_lists_as_json() -> None:
    declared = Declared((*with_lengths(X), TensorSpec("w", "INT64", (-1, 1))))
    read = request_table.read('x,w\n"[1, 2]",3\n[4],5\n', "here", declared)
    assert read == {"x": [[1, 2], [4]], "w": [3, 5]}


def test_answers_are_lists_where_their_lengths_differ() -> None:
    array, lengths = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[2], [1]])
    unequal = missing.with_gaps({"x": array, "x.lengths": lengths}, with_lengths(X))
    assert {name: part.tolist() for name, part in unequal.items()} == {"x": [[1.0, 2.0], [3.0]]}
    equal = missing.with_gaps({"x": array, "x.lengths": lengths * 0 + 2}, with_lengths(X))
    assert equal["x"].shape == (2, 2)
