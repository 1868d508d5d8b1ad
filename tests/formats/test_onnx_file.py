"""The errors for a file that is not an ONNX model, or only a part of one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto
from onnx_models import mlp

from cloche.errors import ClocheError
from cloche.formats.onnx import inspection

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = mlp(producer_name="test").SerializeToString()


def error_of(data: bytes, path: Path) -> ClocheError:
    path.write_bytes(data)
    with pytest.raises(ClocheError) as caught:
        inspection.read(path)
    return caught.value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"PK\x03\x04" + bytes(100), "cut off"),
        (b"PK\x05\x06" + bytes(18), "is not an ONNX model"),
        (b"\x80\x04\x95" + bytes(100), "pickle"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b'{"a": 1}', "JSON"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"just some words", "is not an ONNX model"),
        (bytes(64), "is not an ONNX model"),
        (ModelProto(ir_version=10, producer_name="x").SerializeToString(), "no graph"),
    ],
)
def test_a_file_that_is_not_a_model(data: bytes, words: str, tmp_path: Path) -> None:
    error = error_of(data, tmp_path / "model.onnx")
    assert error.code == "inspection.onnx.not_a_model"
    assert words in error.what
    assert error.hint


def test_a_graph_without_outputs(tmp_path: Path) -> None:
    proto = mlp()
    del proto.graph.output[:]
    error = error_of(proto.SerializeToString(), tmp_path / "model.onnx")
    assert error.code == "inspection.onnx.outputs"


def test_a_cut_file_says_how_much_is_missing(tmp_path: Path) -> None:
    error = error_of(WHOLE[:1000], tmp_path / "model.onnx")
    assert error.code == "inspection.onnx.truncated"
    assert "1,000 bytes" in error.what
    assert "needs at least" in error.what


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(length=st.integers(min_value=20, max_value=len(WHOLE) - 1))
def test_every_cut_is_called_a_cut(length: int, tmp_path: Path) -> None:
    assert error_of(WHOLE[:length], tmp_path / "m.onnx").code == "inspection.onnx.truncated"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)).map(
        lambda change: WHOLE[: change[0]] + bytes([change[1]]) + WHOLE[change[0] + 1 :]
    )
)
def test_any_bytes_give_a_model_or_an_error_of_ours(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with contextlib.suppress(ClocheError):
        assert inspection.read(path).graph.output
