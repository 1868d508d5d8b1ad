"""Whatever a caller gives as a request: tensors, or an error with a remedy."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import DOCUMENTS, SCALARS, TEXTS, WORDS, only_our_errors
from PIL import Image

from cloche.artifacts import DATATYPES, TensorSpec
from cloche.inputs import request_file
from cloche.inputs.declared import Declared, fit
from cloche.rendering import json_text

AXES = st.lists(st.sampled_from((-1, 0, 1, 2, 4)), max_size=4).map(tuple)
TENSORS = st.builds(
    TensorSpec,
    st.sampled_from(("x", "y", "inputs", "data", "")),
    st.sampled_from(sorted(DATATYPES)),
    AXES,
    optional=st.booleans(),
)
DECLARED = st.builds(
    Declared,
    st.lists(TENSORS, max_size=3, unique_by=lambda tensor: tensor.name).map(tuple),
    st.sampled_from((0, 1, 8)),
)
OBJECTS = st.sampled_from((
    object(), b"\xff", {1, 2}, np.float16(1), np.datetime64("2026-01-31"), datetime(2026, 1, 31),  # noqa: DTZ001
    np.array([1, "a", None], object), np.zeros((2, 0, 3)), np.zeros(3, "V4"), np.zeros(2, "c8"),
    np.array(["a", "b"]), np.array([b"\x00"]), np.array([[1.5, math.nan]], "f2"), 1 + 2j,
    np.ma.array([1, 2], mask=[0, 1]), range(3), iter([1, 2]), pd.NA, pd.NaT, pd.Timestamp(0),
    "text",
))  # fmt: skip
COLUMNS = st.sampled_from((
    [1, 2], [1.5, None], ["a", None], [True, False], pd.to_datetime(["2026-01-31", None]),
    pd.Categorical(["a", "b"]), pd.array([1, None], dtype="Int64"), [[1, 2], [3]], [{"a": 1}, 2],
))  # fmt: skip
TABLES = st.dictionaries(st.sampled_from(("x", "y", 0, 1, ("x", "y"), None)), COLUMNS, max_size=3)


@given(
    DECLARED,
    DOCUMENTS
    | OBJECTS
    | st.dictionaries(WORDS | st.integers() | st.none(), DOCUMENTS | OBJECTS, max_size=3)
    | TABLES.map(pd.DataFrame)
    | st.lists(SCALARS, max_size=3).map(pd.Series),
)
def test_any_value_fits_or_is_refused(declared: Declared, value: Any) -> None:
    with only_our_errors():
        tensors = fit(declared, value)
        assert {tensor.name for tensor in declared.required} <= tensors.keys()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("requests") / "request"


PREFIXES = st.sampled_from((
    b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a",
    b"BM\x00\x00\x00\x00\x00\x00\x00\x00", b"RIFF\x00\x00\x00\x00WEBP", b"II*\x00", b"{", b"[",
    b"x,y\n", b'"',
))  # fmt: skip


@given(DECLARED, PREFIXES, st.binary(max_size=80))
def test_any_bytes_are_a_request_or_refused(
    file: Path, declared: Declared, prefix: bytes, data: bytes
) -> None:
    file.write_bytes(prefix + data)
    with only_our_errors():
        request_file.tensors(str(file), declared)


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


PIXELS = Image.fromarray(np.arange(8 * 8 * 3, dtype="u1").reshape(8, 8, 3))
WHOLE = [
    _saved(lambda stream: np.save(stream, np.zeros((3, 4), "f4"))),
    _saved(lambda stream: np.save(stream, np.zeros(2, dtype=[("a", "f4")]))),
    _saved(lambda stream: np.savez(stream, x=np.zeros((3, 4)), y=np.ones(2))),
    _saved(lambda stream: np.savez_compressed(stream, x=np.zeros((3, 4)))),
    *(
        _saved(lambda stream, form=form: PIXELS.save(stream, form))  # type: ignore[misc]
        for form in ("PNG", "GIF", "TIFF", "BMP", "JPEG", "WEBP")
    ),
]
IMAGES = Declared((TensorSpec("x", "FP32", (-1, 3, 8, 8)),))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file of arrays or pixels in which some bytes are others, or that ends too early."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for position in draw(st.lists(st.integers(0, len(data) - 1), max_size=5)):
        data[position] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


@given(DECLARED | st.just(IMAGES), damaged())
def test_any_damaged_file_is_a_request_or_refused(
    file: Path, declared: Declared, data: bytes
) -> None:
    file.write_bytes(data)
    with only_our_errors():
        request_file.tensors(str(file), declared)


@given(DECLARED, DOCUMENTS)
def test_any_json_is_a_request_or_refused(file: Path, declared: Declared, document: Any) -> None:
    file.write_text(json.dumps(document))
    with only_our_errors():
        request_file.tensors(str(file), declared)


@given(DECLARED, st.lists(st.fixed_dictionaries({}, optional={
    "name": st.sampled_from(("x", "y", 1, None)), "shape": AXES | DOCUMENTS,
    "datatype": st.sampled_from(("FP32", "BYTES", "INT64", "FP99", None)), "data": DOCUMENTS,
}), max_size=3))  # fmt: skip
def test_any_request_of_the_protocol(file: Path, declared: Declared, entries: list[Any]) -> None:
    file.write_text(json.dumps({"inputs": entries}))
    with only_our_errors():
        request_file.tensors(str(file), declared)


@given(
    DECLARED, TEXTS | st.lists(st.lists(TEXTS, max_size=3).map(",".join), max_size=4).map("\n".join)
)
def test_any_text_is_a_table_or_refused(file: Path, declared: Declared, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with only_our_errors():
        request_file.tensors(str(file), declared)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_value_becomes_json(value: Any) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    json.loads(json_text(value), parse_constant=refuse)
