"""Serves an MLflow model as a Python function in Triton's Python backend.

This file and those beside it are written into the model's repository as they are (`1/model.py`,
`1/pyfunc_inputs.py` …, with the MLflow folder as `1/model/`), and run in the model's own
environment: they import nothing of Cloche and keep to the syntax of Python 3.8. The model's own
code and pickles are loaded here and nowhere else.

Requests that fit together become one table or array, the model runs once, and its rows are handed
back to the requests they came from. Where a joint run fails each request runs alone, so that only
the one that is wrong gets an error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pyfunc_inputs import Inputs, WrongInput
from pyfunc_outputs import Outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]


class TritonPythonModel:
    """What the Python backend calls: `initialize` once, `execute` for each batch, `finalize`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model from the folder beside this file."""
        import mlflow.pyfunc

        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"], "model")
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            _disable_traces()
        loaded = mlflow.pyfunc.load_model(str(folder))
        self._batches = int(config.get("max_batch_size", 0)) > 0
        self._inputs = Inputs(config["input"], loaded)
        self._outputs = Outputs(config["output"], self._batches, loaded)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request, an error where its own input is to blame."""
        answers: list[Any] = [None] * len(requests)
        groups: dict[Any, list[tuple[int, Arrays]]] = {}
        for index, request in enumerate(requests):
            try:
                arrays, parameters = self._inputs.read(request)
            except WrongInput as error:
                answers[index] = error
                continue
            key = (_layout(arrays), parameters) if self._batches else (index, parameters)
            groups.setdefault(key, []).append((index, arrays))
        for (_, parameters), group in groups.items():
            self._answer(group, json.loads(parameters), answers)
        return [_response(answer) for answer in answers]

    def _answer(
        self, group: list[tuple[int, Arrays]], parameters: dict[str, Any], answers: list[Any]
    ) -> None:
        """Run some requests as one; where that fails, each half of them, down to the one to blame.

        A single request that fails gets the model's own error.
        """
        try:
            joined = _join([arrays for _, arrays in group])
            rows = [len(next(iter(arrays.values()))) if self._batches else 0 for _, arrays in group]
            argument = self._inputs.make(joined)
            more = {"params": parameters} if parameters else {}
            outputs = self._outputs.read(self._inputs.predict(argument, **more), sum(rows))
            parts = _split(outputs, rows)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is its answer
            half = len(group) // 2
            if half:
                self._answer(group[:half], parameters, answers)
                self._answer(group[half:], parameters, answers)
            else:
                answers[group[0][0]] = error
            return
        for (index, _), part in zip(group, parts):  # noqa: B905 - Python 3.8
            answers[index] = self._outputs.alone(part)

    def finalize(self) -> None:
        """Let go of the model."""
        del self._inputs


def _disable_traces() -> None:
    """Keep MLflow from writing a trace of each request into the folder that the server stands in.

    Its agents trace themselves; without an address it takes the working directory for its server.
    """
    import mlflow

    tracing = getattr(mlflow, "tracing", None)
    disable = getattr(tracing, "disable", None)
    if disable is not None:
        disable()


def _layout(arrays: Arrays) -> tuple[Any, ...]:
    """Return what two requests must have in common to be joined."""
    return tuple((name, array.shape[1:]) for name, array in sorted(arrays.items()))


def _join(requests: list[Arrays]) -> Arrays:
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([arrays[name] for arrays in requests]) for name in requests[0]}


def _split(outputs: Arrays, rows: list[int]) -> Iterator[Arrays]:
    if len(rows) == 1:
        return iter([outputs])
    ends = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return ({name: parts[name][index] for name in parts} for index in range(len(rows)))


def _is_refusal(answer: Any) -> bool:
    """Return whether MLflow or the model refused a request as the caller's mistake.

    MLflow does by the schema of the model; a model says so with an MlflowException of status 400.
    """
    status = getattr(answer, "get_http_status_code", None)
    return type(answer).__name__ == "MlflowException" and status is not None and status() == 400


def _response(answer: Any) -> Any:
    import triton_python_backend_utils as pb_utils

    if isinstance(answer, WrongInput) or _is_refusal(answer):
        error = pb_utils.TritonError(str(answer), pb_utils.TritonError.INVALID_ARG)
        return pb_utils.InferenceResponse(error=error)
    if isinstance(answer, Exception):
        error = pb_utils.TritonError(f"{type(answer).__name__}: {answer}")
        return pb_utils.InferenceResponse(error=error)
    return pb_utils.InferenceResponse(
        output_tensors=[
            pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in answer.items()
        ]
    )
