"""The names of files and parameters in a Triton model repository.

<model>/config.pbtxt
<model>/1/model.onnx              one folder per version, the model's own file in it
<model>/environment               where a server puts the environment that a Python model asks for
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = "config.pbtxt"
VERSION = 1
"""The number of the version folder, always; versions of a model are revisions of the service."""
ONNX_FILE = "model.onnx"
PYTHON_FILE = "model.py"
ENSEMBLE = "ensemble"
"""The platform of a model that is made of others."""
MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY/"
"""How a parameter names the model's own folder."""
ENVIRONMENT = "environment"
OWN_ENVIRONMENT = f"{MODEL_DIRECTORY}{ENVIRONMENT}"
"""The value of ENVIRONMENT_PARAMETER for one that the server puts beside the model."""


def onnx_file_of(paths: Iterable[str]) -> str | None:
    """Return which file of a folder is the ONNX model: `model.onnx`, else the only one."""
    onnx = sorted(path for path in paths if path.endswith(".onnx"))
    if ONNX_FILE in onnx:
        return ONNX_FILE
    return onnx[0] if len(onnx) == 1 else None
