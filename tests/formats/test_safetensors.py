"""The header of a file of safetensors, as the hub's clients and people damage it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.formats.safetensors import DamagedFileError, elements


def file_of(header: object, size: int, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (length if length is not None else len(text)).to_bytes(8, "little") + text + bytes(size)


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def counted(data: bytes) -> dict[str, int]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(data)
        return dict(elements(path))


def test_elements_are_counted_by_dtype() -> None:
    header = {
        "a": tensor("F16", [2, 3], 0, 12), "b": tensor("F32", [], 12, 16),
        "c": tensor("F16", [0, 5], 16, 16), "d": tensor("F4", [16], 16, 24),
        "__metadata__": {"format": "pt"},
    }  # fmt: skip
    assert counted(file_of(header, 24)) == {"F16": 6, "F32": 1, "F4": 16}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "0 bytes long"),
        (b"version https://git-lfs.github.com/spec/v1\n", "bytes long"),
        (file_of({"a": tensor("F32", [2], 0, 8)}, 8)[:-1], "fill"),
        (file_of({"a": tensor("F32", [2], 0, 8)}, 8, length=10**9), "bytes long"),
        (file_of({"a": tensor("F32", [3], 0, 8)}, 8), "JSON of the format"),
        (file_of({"a": tensor("F32", [-2], 0, 8)}, 8), "JSON of the format"),
        (file_of({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, 8), "JSON of the format"),
        (file_of({"a": tensor("F32", [2], 4, 12)}, 12), "fill"),
        (file_of(b"[" * 50_000, 0), "JSON of the format"),
    ],
)
def test_a_file_that_is_not_whole(data: bytes, fault: str) -> None:
    with pytest.raises(DamagedFileError, match=fault):
        counted(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["a", "dtype", "shape", "data_offsets", "__metadata__"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | st.builds(file_of, JSON, st.integers(0, 40)))
def test_any_bytes_are_counted_or_damaged(data: bytes) -> None:
    with suppress(DamagedFileError):
        assert all(count >= 0 for count in counted(data).values())
