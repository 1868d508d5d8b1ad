"""Serves a model with its own framework, in Triton's Python backend.

This file, the loader beside it (`own_model.py`, `FRAMEWORK_model.py`) and `loading.json` are
written into the model's repository (`1/`, with the model's files as `1/model/`), and run in the
model's own environment: they import nothing of Cloche and keep to the syntax of Python 3.8.
`loading.json` has the `path` of the model, its `framework` and `how` it loads it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import own_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]


class TritonPythonModel:
    """What the Python backend calls: `initialize` once, `execute` for each batch."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model from the folder beside this file."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"])
        loading = json.loads((folder / "loading.json").read_text(encoding="utf-8"))
        path = str(folder / "model" / loading["path"])
        self._model = own_model.load(loading["framework"], path, loading["how"])
        self._batches = int(config.get("max_batch_size", 0)) > 0
        self._inputs = [(entry["name"], _rank(entry, self._batches)) for entry in config["input"]]
        self._outputs = [(entry["name"], _rank(entry, self._batches)) for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request; requests of one shape are answered by one call."""
        answers: list[Any] = [None] * len(requests)
        groups: dict[Any, list[tuple[int, Arrays]]] = {}
        for index, request in enumerate(requests):
            arrays = self._read(request)
            layout = tuple((name, array.shape[1:]) for name, array in arrays.items())
            groups.setdefault(layout if self._batches else index, []).append((index, arrays))
        for group in groups.values():
            self._answer(group, answers)
        return [self._response(answer) for answer in answers]

    def _read(self, request: Any) -> Arrays:
        import triton_python_backend_utils as triton

        arrays = {}
        for name, rank in self._inputs:
            array = triton.get_input_tensor_by_name(request, name).as_numpy()
            # Triton has no scalars: one is sent as [1].
            arrays[name] = array.reshape(array.shape[:rank]) if array.ndim > rank else array
        return arrays

    def _answer(self, group: list[tuple[int, Arrays]], answers: list[Any]) -> None:
        """Answer requests of one shape together; where that fails, each alone."""
        try:
            joined = {
                name: np.concatenate([arrays[name] for _, arrays in group])
                if len(group) > 1
                else group[0][1][name]
                for name, _ in self._inputs
            }
            outputs = self._model.call(joined)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is its answer
            if len(group) == 1:
                answers[group[0][0]] = error
                return
            for single in group:
                self._answer([single], answers)
            return
        begin = 0
        for index, arrays in group:
            end = begin + (len(next(iter(arrays.values()))) if self._batches else 0)
            answers[index] = {
                name: array[begin:end] if self._batches else array
                for name, array in outputs.items()
            }
            begin = end

    def _response(self, answer: Any) -> Any:
        import triton_python_backend_utils as triton

        if isinstance(answer, Exception):
            words = f"{type(answer).__name__}: {answer}"
            return triton.InferenceResponse(error=triton.TritonError(words))
        tensors = []
        for name, rank in self._outputs:
            array = np.ascontiguousarray(answer[name])
            shaped = array.reshape(array.shape + (1,) * (rank - array.ndim))
            tensors.append(triton.Tensor(name, shaped))
        return triton.InferenceResponse(output_tensors=tensors)


def _rank(entry: dict[str, Any], batches: bool) -> int:
    return len(entry["dims"]) + (1 if batches else 0)
