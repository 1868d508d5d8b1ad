"""Answers the requests of Triton's Python backend with a model of its own framework.

Requests of one shape are answered by one call; where that fails each is asked alone, so that only
the one that is wrong gets an error. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from own_model import in_dims

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from own_model import OwnModel

    Array = NDArray[Any]
    Arrays = dict[str, Array]


class Serving:
    """One loaded model under the configuration that Triton has of it."""

    def __init__(self, model: OwnModel, config: dict[str, Any]) -> None:
        """Take a model and its configuration, as Triton gives it to `initialize`."""
        self._model = model
        self._batches = int(config.get("max_batch_size", 0)) > 0
        self._inputs = [(entry["name"], _rank(entry, self._batches)) for entry in config["input"]]
        self._outputs = [(entry["name"], entry["dims"]) for entry in config["output"]]

    def answer(self, requests: list[Any]) -> list[Any]:
        """Return one response per request; requests of one shape are answered by one call."""
        answers: list[Any] = [None] * len(requests)
        groups: dict[Any, list[tuple[int, Arrays]]] = {}
        for index, request in enumerate(requests):
            arrays = self._read(request)
            layout = tuple((name, array.shape[1:]) for name, array in arrays.items())
            groups.setdefault(layout if self._batches else index, []).append((index, arrays))
        for group in groups.values():
            self._answer_group(group, answers)
        return [self._response(answer) for answer in answers]

    def _read(self, request: Any) -> Arrays:
        import triton_python_backend_utils as triton

        arrays = {}
        for name, rank in self._inputs:
            array = triton.get_input_tensor_by_name(request, name).as_numpy()
            # Triton has no scalars: one is sent as [1].
            arrays[name] = array.reshape(array.shape[:rank]) if array.ndim > rank else array
        return arrays

    def _answer_group(self, group: list[tuple[int, Arrays]], answers: list[Any]) -> None:
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
                self._answer_group([single], answers)
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
        for name, dims in self._outputs:
            array = in_dims(np.ascontiguousarray(answer[name]), dims, batched=self._batches)
            tensors.append(triton.Tensor(name, array))
        return triton.InferenceResponse(output_tensors=tensors)


def _rank(entry: dict[str, Any], batches: bool) -> int:
    # Triton hands over what `reshape` says.
    shape = (entry.get("reshape") or {}).get("shape", entry["dims"])
    return len(shape) + (1 if batches else 0)
