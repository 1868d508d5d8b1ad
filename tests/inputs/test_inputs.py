"""What fits a model's inputs, and how what does not is refused."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cloche.artifacts import TensorSpec
from cloche.errors import ErrorGroup, UsageError
from cloche.inputs import missing
from cloche.inputs.declared import Declared, fit

MATRIX = Declared((TensorSpec("x", "FP32", (-1, 3)),), max_batch_size=8)
COLUMNS = Declared(
    (TensorSpec("age", "INT64", (-1, 1)), TensorSpec("city", "BYTES", (-1, 1))), max_batch_size=8
)


def one(datatype: str, shape: tuple[int, ...] = (-1,)) -> Declared:
    return Declared((TensorSpec("x", datatype, shape),))


@pytest.mark.parametrize(
    ("datatype", "value", "dtype"),
    [
        ("FP32", [1, 2.5], "float32"),
        ("FP32", np.array([1.5, 2.5]), "float32"),
        ("FP16", np.array([1, 2], "int8"), "float16"),
        ("BF16", [1.0], "float32"),
        ("INT8", [1, -128], "int8"),
        ("UINT8", np.array([255], "int64"), "uint8"),
        ("BOOL", [True, False], "bool"),
        ("BYTES", ["a", "é"], "object"),
        ("BYTES", [b"a"], "object"),
        ("INT32", [], "int32"),
        ("BYTES", [], "object"),
        ("FP32", [float("nan"), float("inf")], "float32"),
    ],
)
def test_values_of_the_right_kind_are_converted(datatype, value, dtype):
    tensor = fit(one(datatype), value)["x"]
    assert tensor.array.dtype == dtype
    assert tensor.datatype == datatype


@pytest.mark.parametrize(
    ("datatype", "value", "words"),
    [
        ("INT64", [1.5], "is of type float64"),
        ("INT64", np.array([1.0]), "is of type float64"),
        ("FP32", ["1.5"], "is of type text"),
        ("BYTES", [1], "is of type int64"),
        ("BOOL", [1, 0], "is of type int64"),
        ("INT8", [128], "values outside -128 to 127"),
        ("UINT8", [-1], "values outside 0 to 255"),
        ("FP16", [1e6], "values that are too large"),
        ("FP32", [None, {}], "is of type mixed values"),
    ],
)
def test_values_of_another_kind_are_refused_by_name(datatype, value, words):
    with pytest.raises(UsageError) as caught:
        fit(one(datatype), value)
    assert caught.value.code == "infer.input.datatype"
    assert (
        f"'x' {'has' if 'values' in words and 'mixed' not in words else 'is'}" in caught.value.what
    )
    assert words in caught.value.what
    assert f"{datatype} [-1] is expected" in caught.value.what


@pytest.mark.parametrize(
    ("declared", "shape", "fitted"),
    [
        ((-1, 3), (2, 3), (2, 3)),
        ((-1, 3), (3,), (1, 3)),
        ((-1, 1), (4,), (4, 1)),
        ((-1, 3, 2, 2), (3, 2, 2), (1, 3, 2, 2)),
        ((3,), (3,), (3,)),
        ((-1,), (0,), (0,)),
        ((), (), ()),
    ],
)
def test_an_axis_of_one_is_added_where_only_that_is_missing(declared, shape, fitted):
    assert fit(one("FP32", declared), np.zeros(shape))["x"].array.shape == fitted


@pytest.mark.parametrize("shape", [(2, 4), (4,), (1, 1, 3), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UsageError, match=r"FP32 \[-1, 3\] is expected") as caught:
        fit(MATRIX, np.zeros(shape))
    assert caught.value.code == "infer.input.shape"


def test_ragged_rows_are_refused():
    with pytest.raises(UsageError, match="ragged"):
        fit(MATRIX, [[1, 2, 3], [1, 2]])


def test_a_batch_beyond_the_limit_is_refused():
    with pytest.raises(UsageError, match="at most 8") as caught:
        fit(MATRIX, np.zeros((9, 3)))
    assert caught.value.code == "infer.input.batch"


def test_inputs_of_different_lengths_are_refused():
    with pytest.raises(UsageError, match="age has 2, city has 1"):
        fit(COLUMNS, {"age": [1, 2], "city": ["Bern"]})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ErrorGroup) as caught:
        fit(COLUMNS, {"age": [1.5], "town": ["Bern"]})
    codes = sorted(error.code for error in caught.value.errors)
    assert codes == ["infer.input.datatype", "infer.input.missing", "infer.input.unknown"]
    assert caught.value.exit_code == 2


def test_values_without_names_need_a_model_with_one_input():
    with pytest.raises(UsageError, match="2 inputs") as caught:
        fit(COLUMNS, [[1, 2]])
    assert "age (INT64 [-1, 1])" in str(caught.value.hint)


def test_a_table_gives_its_columns():
    table = pd.DataFrame({"age": [41, 7], "city": ["Bern", "Thun"]})
    fitted = fit(COLUMNS, table)
    assert fitted["age"].array.tolist() == [[41], [7]]
    assert fitted["city"].array.tolist() == [["Bern"], ["Thun"]]


def test_a_table_is_a_matrix_for_a_model_with_one_tensor():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]})
    assert fit(MATRIX, table)["x"].array.tolist() == [[1, 3, 5], [2, 4, 6]]


def test_an_optional_input_may_be_left_out():
    declared = Declared((*MATRIX.inputs, TensorSpec("bias", "FP32", (1,), optional=True)))
    assert set(fit(declared, [[1, 2, 3]])) == {"x"}
    assert set(fit(declared, {"x": [[1, 2, 3]], "bias": [1]})) == {"x", "bias"}


NUMBERS = st.one_of(
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.floating_dtypes(sizes=(32, 64)),
)


@given(
    value=NUMBERS.flatmap(lambda dtype: arrays.arrays(dtype, st.integers(0, 5))),
    datatype=st.sampled_from(["INT8", "INT64", "UINT16", "FP32", "FP64"]),
)
def test_what_is_accepted_has_the_same_values(value: Any, datatype: str):
    try:
        fitted = fit(one(datatype), value)["x"].array
    except UsageError:
        return
    if fitted.dtype.kind == "f":
        np.testing.assert_allclose(fitted.astype("f8"), value.astype("f8"), rtol=1e-6, atol=1e-40)
    else:
        assert fitted.tolist() == value.tolist()


def column(datatype: str, *, nullable: bool = True, holds: str | None = None) -> Declared:
    mark = TensorSpec("x.missing", "BOOL", (-1, 1), optional=True, marks="x")
    spec = TensorSpec("x", datatype, (-1, 1), optional=nullable, holds=holds)
    return Declared((spec, mark) if nullable else (spec,), max_batch_size=8)


@pytest.mark.parametrize(
    ("datatype", "value", "sent"),
    [
        ("BYTES", ["a", None], ["a", ""]),
        ("BYTES", pd.Series(["a", None]), ["a", ""]),
        ("BYTES", pd.Series(["a", pd.NA], dtype="string").to_numpy(), ["a", ""]),
        ("BYTES", np.array(["a", np.nan], object), ["a", ""]),
        ("INT64", [1, None], [1, 0]),
        ("INT64", pd.array([1, None], "Int64").to_numpy(), [1, 0]),
        ("BOOL", [True, None], [True, False]),
        ("BYTES", pd.Series(pd.to_datetime(["2026-01-31T12:00", None])).to_numpy(),
         ["2026-01-31T12:00:00", ""]),
    ],
)  # fmt: skip
def test_a_missing_value_is_marked(datatype, value, sent):
    given = value.to_numpy() if isinstance(value, pd.Series) else value
    tensors = fit(column(datatype), {"x": given})
    assert tensors["x"].array.ravel().tolist() == sent
    assert tensors["x.missing"].array.ravel().tolist() == [False, True]
    with pytest.raises(UsageError) as caught:
        fit(column(datatype, nullable=False), {"x": given})
    assert caught.value.code == "infer.input.missing_value"


def test_a_missing_float_is_nan_and_a_whole_column_needs_no_mark():
    assert str(fit(column("FP64", nullable=False), [1.0, None])["x"].array.ravel()) == "[ 1. nan]"
    assert set(fit(column("BYTES"), {"x": ["a", "b"]})) == {"x"}


@pytest.mark.parametrize(
    ("value", "holds", "sent"),
    [
        (np.array(["2026-01-31", "2026-01-31T06:00:00.5"], "M8[ns]"), "date",
         ["2026-01-31T00:00:00", "2026-01-31T06:00:00.5"]),
        ([datetime.date(2026, 1, 31)], "date", ["2026-01-31"]),
        ([{"a": [1]}, {"a": []}], "json", ['{"a": [1]}', '{"a": []}']),
        ([b"\xff", "/w==\n"], "binary", [b"\xff", b"\xff"]),
    ],
)  # fmt: skip
def test_dates_structures_and_bytes_travel_as_documented(value, holds, sent):
    tensors = fit(column("BYTES", holds=holds), {"x": value})
    assert tensors["x"].array.ravel().tolist() == sent


def test_an_answer_has_none_where_a_value_is_missing():
    specs = (
        TensorSpec("y", "INT64", (-1, 1)),
        TensorSpec("y.missing", "BOOL", (-1, 1), marks="y"),
    )
    outputs = {"y": np.array([[1], [0]]), "y.missing": np.array([[False], [True]])}
    assert {n: a.tolist() for n, a in missing.with_gaps(outputs, specs).items()} == {
        "y": [[1], [None]]
    }
    whole = {"y": np.array([[1]]), "y.missing": np.array([[False]])}
    assert missing.with_gaps(whole, specs)["y"].dtype == np.int64
