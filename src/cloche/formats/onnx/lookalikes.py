"""Look-alikes of ONNX models, and how to convert each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.format import Lookalike

if TYPE_CHECKING:
    from pathlib import Path

_UNSERVED = "which Cloche does not serve"


def _is_tflite(_: Path, start: bytes) -> bool:
    return start[4:8] == b"TFL3"


def _is_ort(_: Path, start: bytes) -> bool:
    return start.startswith(b"ORTM") or start[4:8] == b"ORTM"


LOOKALIKES = (
    Lookalike(
        f"a Keras model, {_UNSERVED}", "model.export(…, format='onnx') makes an ONNX file of it",
        suffixes=(".keras",),
    ),
    Lookalike(
        f"a Keras model in HDF5, {_UNSERVED}", "load it and call model.export(…, format='onnx')",
        suffixes=(".h5", ".hdf5"), starts=(b"\x89HDF\r\n",),
    ),
    Lookalike(
        f"a TensorFlow Lite model, {_UNSERVED}", "convert it with tf2onnx",
        suffixes=(".tflite",), test=_is_tflite,
    ),
    Lookalike(
        f"a TensorFlow SavedModel, {_UNSERVED}", "convert it with tf2onnx",
        names=frozenset({"saved_model.pb"}),
    ),
    Lookalike(f"a TensorFlow graph, {_UNSERVED}", "convert it with tf2onnx", suffixes=(".pb",)),
    Lookalike(
        f"a model in ONNX Runtime's own format, {_UNSERVED}", "name the ONNX file it was made from",
        suffixes=(".ort",), test=_is_ort,
    ),
)  # fmt: skip
