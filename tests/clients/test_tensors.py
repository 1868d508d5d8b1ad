from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cloche.artifacts import DATATYPES
from cloche.clients.kserve.tensors import Tensor, datatype_of, decode, encode
from cloche.errors import ClocheError, UsageError

NUMERIC = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1",
    "INT16": "i2", "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip
shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
numeric = st.sampled_from(sorted(NUMERIC)).flatmap(lambda t: npst.arrays(NUMERIC[t], shapes))


def objects(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return npst.arrays(object, shapes, elements=elements, fill=st.nothing())


def same(got: Any, sent: Any) -> None:
    assert got.dtype == sent.dtype
    assert got.shape == sent.shape
    np.testing.assert_array_equal(got, sent)


@given(st.dictionaries(st.text(min_size=1), numeric | objects(st.binary()), max_size=4))
def test_binary_tensors_come_back_as_they_went(tensors: dict[str, Any]) -> None:
    body, length = encode(tensors, binary=True)
    decoded = decode(body, length)
    assert list(decoded) == list(tensors)
    for name, array in tensors.items():
        same(decoded[name], array)


@given(
    st.dictionaries(
        st.text(min_size=1),
        numeric.filter(lambda a: a.dtype != np.float16) | objects(st.text().map(str.encode)),
        max_size=4,
    )
)
def test_json_tensors_come_back_as_they_went(tensors: dict[str, Any]) -> None:
    body, length = encode(tensors, binary=False)
    assert length is None
    decoded = decode(body, None)
    for name, array in tensors.items():
        same(decoded[name], array)


@given(npst.arrays(np.float32, shapes))
def test_bf16_keeps_the_nearest_value(array: Any) -> None:
    body, length = encode({"x": Tensor(array, "BF16")}, binary=True)
    got = decode(body, length)["x"]
    again, _ = encode({"x": Tensor(got, "BF16")}, binary=True)
    assert again == body
    finite = np.isfinite(array) & (np.abs(array) < 3e38)
    np.testing.assert_allclose(got[finite], array[finite], rtol=2**-8, atol=1e-40)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(array))


def refusal(body: bytes, length: int | None) -> str | None:
    try:
        decode(body, length)
    except ClocheError as error:
        return error.code
    return None


@given(st.binary(max_size=200), st.none() | st.integers(-1, 250))
def test_any_bytes_are_read_or_refused(body: bytes, length: int | None) -> None:
    assert refusal(body, length) in {None, "tensor.malformed"}


entries = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", 1, None]),
        "datatype": st.sampled_from([*DATATYPES, "FP8", 3]),
        "shape": st.lists(st.integers(-1, 3) | st.sampled_from([None, 10**9, True]), max_size=3),
        "data": st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=6,
        ),
        "parameters": st.sampled_from([None, {}, {"binary_data_size": 4},
                                       {"binary_data_size": "4"}, {"binary_data_size": -1}]),
    },
)  # fmt: skip


@given(st.lists(entries, max_size=2), st.binary(max_size=20))
def test_any_description_is_read_or_refused(described: list[Any], data: bytes) -> None:
    head = json.dumps({"inputs": described}).encode()
    assert refusal(head + data, len(head)) in {None, "tensor.malformed"}


def test_the_body_is_what_the_protocol_says() -> None:
    tensors = {"x": np.array([[1, 2]], np.int32), "s": np.array(["a", "bc"])}
    body, length = encode(tensors, binary=True, outputs=["y"], request_id="7")
    assert length is not None
    assert json.loads(body[:length]) == {
        "id": "7",
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "INT32",
             "parameters": {"binary_data_size": 8}},
            {"name": "s", "shape": [2], "datatype": "BYTES",
             "parameters": {"binary_data_size": 11}},
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }  # fmt: skip
    assert body[length:] == b"\x01\0\0\0\x02\0\0\0\x01\0\0\0a\x02\0\0\0bc"


def test_nested_json_data_is_read_as_flat() -> None:
    body = json.dumps(
        {"outputs": [{"name": "y", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]}]}
    ).encode()
    np.testing.assert_array_equal(decode(body, None)["y"], np.array([[1, 2], [3, 4]], np.float32))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"datatype": "FP32", "shape": [2], "data": [1]}, "x has 1 elements where shape [2]"),
        ({"datatype": "FP32", "shape": [1], "data": ["a"]}, "x has an element that is not FP32"),
        ({"datatype": "INT8", "shape": [1], "data": [1.5]}, "x has an element that is not INT8"),
        ({"datatype": "INT8", "shape": [1], "data": [200]}, "out of the range of INT8"),
        ({"datatype": "BOOL", "shape": [1], "data": [1]}, "not BOOL"),
        ({"datatype": "BYTES", "shape": [1], "data": [1]}, "not a string"),
        ({"datatype": "FP8", "shape": [1], "data": [1]}, "the datatype 'FP8'"),
        ({"datatype": "FP32", "shape": [-1], "data": []}, "the shape [-1]"),
        ({"datatype": "FP32", "shape": [1]}, "x has no data"),
        ({"datatype": "FP32", "shape": [9], "parameters": {"binary_data_size": 36}}, "ends before"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_tensor_is_said(entry: dict[str, Any], words: str) -> None:
    body = json.dumps({"inputs": [{"name": "x", **entry}]}).encode()
    with pytest.raises(UsageError) as caught:
        decode(body, len(body))
    assert words in caught.value.what


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(UsageError, match="FP16"):
        encode({"x": np.zeros(1, np.float16)}, binary=False)
    with pytest.raises(UsageError, match="not UTF-8"):
        encode({"x": np.array([b"\xff"], object)}, binary=False)
    with pytest.raises(UsageError, match="complex128"):
        datatype_of(np.zeros(1, complex))
    with pytest.raises(UsageError, match="one element is a int"):
        encode({"x": np.array([1], object)}, binary=True)
