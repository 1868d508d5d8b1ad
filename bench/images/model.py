"""The models of the bench: a Triton repository whose weights are files of random bytes.

Bytes that no compressor shortens, as weights are; the code beside them answers with its request.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAME = "weights"
_CONFIG = """backend: "python"
max_batch_size: 0
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] } ]
"""
_CODE = """import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        return [
            utils.InferenceResponse([
                utils.Tensor("y", utils.get_input_tensor_by_name(request, "x").as_numpy())
            ])
            for request in requests
        ]
"""
_BLOCK = 2**20


def write(folder: Path, files: int, size: int, *, sparse: bool = False) -> Path:
    """Write a repository with this many files of weights of this many bytes each.

    Those of a sparse one are zeros between a few random bytes, which take no room on this disk.
    """
    shutil.rmtree(folder, ignore_errors=True)
    version = folder / NAME / "1"
    version.mkdir(parents=True)
    (folder / NAME / "config.pbtxt").write_text(_CONFIG)
    (version / "model.py").write_text(_CODE)
    for number in range(files):
        path = version / f"weights-{number}.bin"
        _sparse(path, size) if sparse else _weights(path, size)
    return folder


def change(folder: Path, number: int) -> int:
    """Replace one file of weights by others of its size, and return that."""
    path = folder / NAME / "1" / f"weights-{number}.bin"
    size = path.stat().st_size
    path.unlink()
    _weights(path, size)
    return size


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(_BLOCK))
        file.truncate(size)


def _weights(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(os.urandom(min(_BLOCK, size - start)))
