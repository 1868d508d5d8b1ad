"""When two answers agree, and what is said when they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cloche.artifacts import TensorDifference
from cloche.verification.comparison import Answer, compare


def difference(
    wanted: Any, got: Any, datatype: str, got_type: str | None = None
) -> TensorDifference:
    expected = Answer({"y": np.asarray(wanted)}, {"y": datatype})
    found = Answer({"y": np.asarray(got)}, {"y": got_type or datatype})
    (one,) = compare(expected, found)
    return one


@pytest.mark.parametrize(
    ("datatype", "wanted", "got", "agrees"),
    [
        ("FP32", [1.0, 2.0], [1.00019, 2.0], True),
        ("FP32", [1.0, 2.0], [1.0003, 2.0], False),
        ("FP32", [1e-3, 2e-3], [1.1e-3, 2e-3], False),
        ("FP32", [1e4, 1e-4], [1e4, 2e-4], True),
        ("FP32", [0.0, 0.0], [5e-5, 0.0], True),
        ("FP64", [1.0], [1.0001], False),
        ("FP16", [1.0], [1.001], True),
        ("BF16", [1.0], [1.02], True),
        ("FP32", [np.nan, np.inf], [np.nan, np.inf], True),
        ("FP32", [np.nan, 1.0], [1.0, 1.0], False),
        ("FP32", [np.inf], [-np.inf], False),
        ("FP32", [1.0], [np.inf], False),
        ("FP32", [], [], True),
        ("INT64", [2**62 + 1], [2**62], False),
        ("UINT8", [1, 2], [1, 2], True),
        ("BOOL", [True], [False], False),
        ("BYTES", [b"a", b"b"], [b"a", b"b"], True),
        ("BYTES", [b"a"], [b"c"], False),
    ],
)
def test_agreement(datatype: str, wanted: Any, got: Any, agrees: bool) -> None:
    kind = {"BYTES": object, "FP32": "f4", "FP64": "f8", "FP16": "f4", "BF16": "f4"}
    dtype = kind.get(datatype, datatype.lower())
    one = difference(np.array(wanted, dtype), np.array(got, dtype), datatype)
    assert (one.detail is None) is agrees
    assert (one.mismatched == 0) is agrees


def test_the_worst_value_is_named_with_its_place_and_distance() -> None:
    wanted = np.ones((2, 3), "f4")
    got = wanted.copy()
    got[0, 1], got[1, 2] = 1.5, 3.0
    one = difference(wanted, got, "FP32")
    assert one.detail is not None
    assert "y at [1, 2] is 3 instead of 1 (2 off, 0.0001 allowed)" in one.detail
    assert "2 of 6 values differ" in one.detail
    assert (one.elements, one.mismatched) == (6, 2)
    assert one.max_absolute == pytest.approx(2.0)
    assert one.max_relative == pytest.approx(2.0)


def test_whole_numbers_are_compared_without_wrapping() -> None:
    one = difference(np.array([0], "u8"), np.array([2**64 - 1], "u8"), "UINT64")
    assert one.max_absolute == pytest.approx(2.0**64)


@pytest.mark.parametrize(
    ("got", "got_type", "words"),
    [
        (np.ones((1, 2), "f8"), "FP64", "has the type FP64 where FP32 was expected"),
        (np.ones((2, 1), "f4"), "FP32", "has the shape [2, 1] where [1, 2] was expected"),
    ],
)
def test_another_type_or_shape(got: Any, got_type: str, words: str) -> None:
    one = difference(np.ones((1, 2), "f4"), got, "FP32", got_type)
    assert words in str(one.detail)
    assert one.mismatched == 2


def test_a_missing_output_is_named_with_those_that_came() -> None:
    expected = Answer({"y": np.ones(1, "f4")}, {"y": "FP32"})
    (one,) = compare(expected, Answer({"z": np.ones(1, "f4")}, {"z": "FP32"}))
    assert one.detail == "The output y is missing; the answer has z."


def test_strings_are_shown_short() -> None:
    one = difference(np.array([b"x" * 500], object), np.array([b"caf\xc3\xa9"], object), "BYTES")
    assert "'café' instead of 'xxx" in str(one.detail)
    assert len(str(one.detail)) < 200
