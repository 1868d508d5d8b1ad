"""Run an ONNX file with ONNX Runtime on the CPU: `run_onnx.py FOLDER MODEL`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def main(folder: str, model: str) -> None:
    """Answer the job in `folder` with the file `model`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The plain graph: verification judges the server's optimised one against it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Spinning threads would take the cores from the server that is starting.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    declared = {tensor.name: tensor for tensor in session.get_inputs()}
    names = [tensor.name for tensor in session.get_outputs()]

    def run(inputs: dict[str, Array]) -> dict[str, Array]:
        given = {name: _to_model_form(array, declared[name]) for name, array in inputs.items()}
        return {
            name: np.asarray(value)
            for name, value in zip(names, session.run(names, given))  # noqa: B905 - Python 3.8
        }

    exchange.answer(Path(folder), run)


def _to_model_form(array: Array, declared: Any) -> Array:
    """Return an array in the model's form: text as `str`, and a scalar without its axis."""
    if array.ndim == len(declared.shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if declared.type != "tensor(string)":
        return array
    text = [element.decode("utf-8") for element in array.ravel()]
    return np.array(text, dtype=object).reshape(array.shape)


if __name__ == "__main__":
    exchange.end_with_parent()
    main(*sys.argv[1:])
