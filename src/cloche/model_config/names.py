"""The names of files and parameters in a Triton model repository.

<model>/config.pbtxt
<model>/1/model.onnx              one folder per version, with the model's file
<model>/environment               where a server puts the environment of a Python model
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = "config.pbtxt"
VERSION = 1
"""The only version folder: versions of a model are revisions of the service."""
ONNX_FILE = "model.onnx"
LABELS_FILE = "labels.txt"
PYTHON_FILE = "model.py"
REQUIREMENTS_FILE = "requirements.txt"
PYTHON_VERSION_FILE = ".python-version"
"""Names the Python of a model's environment, as uv and pyenv read it."""
LOCK_FILE = "requirements.lock"
STUB_FILE = "triton_python_backend_stub"
"""The Python backend's program for one version of Python; a model may bring its own."""
ENSEMBLE = "ensemble"
"""The platform of a model that combines others."""
MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY/"
"""Replaced by Triton with the model's own folder in a parameter."""
ENVIRONMENT = "environment"
OWN_ENVIRONMENT = f"{MODEL_DIRECTORY}{ENVIRONMENT}"
"""The value of ENVIRONMENT_PARAMETER for an environment that the server puts beside the model."""


def onnx_file_of(paths: Iterable[str]) -> str | None:
    """Return the ONNX model of a folder: `model.onnx`, else the only .onnx file, else None."""
    onnx = sorted(path for path in paths if path.endswith(".onnx"))
    if ONNX_FILE in onnx:
        return ONNX_FILE
    return onnx[0] if len(onnx) == 1 else None
