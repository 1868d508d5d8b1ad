"""Run an ONNX file with ONNX Runtime on the CPU: `run_onnx.py FOLDER MODEL`.

`FOLDER/model.json` may hold `threads` (0: the runtime's choice) and `level`, the graph optimisation
(`basic` by default, `all`, `none`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import job  # type: ignore[import-not-found]
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16",
    "float": "FP32", "double": "FP64", "bfloat16": "BF16", "string": "BYTES",
}  # fmt: skip


class OnnxRuntime(job.Framework):  # type: ignore[misc]
    """One session."""

    def __init__(self, path: str, *, level: str, threads: int) -> None:
        """Load a file."""
        import onnxruntime

        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # The plain graph: verification judges the server's optimised one against it.
        options.graph_optimization_level = {
            "all": levels.ORT_ENABLE_ALL, "none": levels.ORT_DISABLE_ALL,
        }.get(level, levels.ORT_ENABLE_BASIC)  # fmt: skip
        options.intra_op_num_threads = threads
        # Spinning threads would take the cores from the server that is starting.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        given = [*self._session.get_inputs(), *self._session.get_overridable_initializers()]
        self._declared = {tensor.name: tensor for tensor in given}
        self._outputs = [tensor.name for tensor in self._session.get_outputs()]

    def loaded(self) -> dict[str, Any]:
        """Return the tensors of the session."""
        return {
            "inputs": [_described(tensor) for tensor in self._session.get_inputs()],
            "outputs": [_described(tensor) for tensor in self._session.get_outputs()],
        }

    def run(self, argument: dict[str, Array]) -> dict[str, Array]:
        """Return all outputs."""
        given = {name: _in_form(array, self._declared[name]) for name, array in argument.items()}
        values = self._session.run(self._outputs, given)
        # Before Python 3.10 zip() knows no strict.
        return {name: np.asarray(value) for name, value in zip(self._outputs, values)}  # noqa: B905


def _described(tensor: Any) -> dict[str, Any]:
    kind = tensor.type[len("tensor(") : -1] if tensor.type.startswith("tensor(") else tensor.type
    return {
        "name": tensor.name,
        "datatype": _DATATYPES.get(kind, kind),
        "shape": [size if isinstance(size, int) else -1 for size in tensor.shape],
    }


def _in_form(array: Array, declared: Any) -> Array:
    """Return an array in the model's form: text as `str`, and a scalar without its axis."""
    if array.ndim == len(declared.shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if declared.type != "tensor(string)":
        return array
    text = [element.decode("utf-8") for element in array.ravel()]
    return np.array(text, dtype=object).reshape(array.shape)


def main(folder: str, model: str) -> None:
    """Do the job in `folder` with the file `model`."""
    how = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    framework = OnnxRuntime(model, level=how.get("level", ""), threads=how.get("threads", 0))
    job.work(Path(folder), framework)


if __name__ == "__main__":
    exchange.end_with_parent()
    main(*sys.argv[1:])
