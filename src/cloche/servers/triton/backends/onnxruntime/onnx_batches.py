"""Joining requests into one run of the model, and splitting its outputs.

Inputs are joined by one copy; a lone request runs on its own array. Responses are views of the
run's outputs. Syntax for Python 3.8.
"""

# Before Python 3.10 zip() knows no strict.
# ruff: noqa: B905

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_bfloat16  # type: ignore[import-not-found]
import onnx_session  # type: ignore[import-not-found]
import onnx_signature  # type: ignore[import-not-found]


class Unlike(Exception):
    """These requests cannot run together."""


class Runner:
    """Runs requests in one session."""

    def __init__(
        self,
        session: Any,
        signature: onnx_signature.Signature,
        config: dict[str, Any],
        run_options: Any,
        pb_utils: Any,
    ) -> None:
        self._session = session
        self._run_options = run_options
        self._tensor = pb_utils.Tensor
        self._response = pb_utils.InferenceResponse
        self._error = pb_utils.TritonError
        self._logger = pb_utils.Logger
        self._model = config["name"]
        self.split_runs = 0
        """Joint runs that failed, so that each of their requests was run alone."""
        self._outputs = [entry["name"] for entry in config["output"]]
        self._scalar_shapes = onnx_signature.scalar_shapes(config, signature)
        tensors = list(signature.inputs.values()) + list(signature.overridable.values())
        self._strings = {tensor.name for tensor in tensors if tensor.datatype == "STRING"}
        self._scalars = {tensor.name for tensor in tensors if not tensor.shape}
        chosen = onnx_bfloat16.names(signature)
        self._bfloat16 = None
        if chosen:
            self._bfloat16 = onnx_bfloat16.Runner(session, chosen, pb_utils.Tensor)
        self._only_input = None
        if len(tensors) == 1 and not self._strings and not self._scalars:
            self._only_input = tensors[0].name

    def answer(self, requests: list[Any]) -> list[Any]:
        """Return one response per request, in their order."""
        if len(requests) > 1 and self._bfloat16 is None:
            try:
                return self._answer_together(requests)
            # One request may be the cause, so each runs alone.
            except Exception as error:  # noqa: BLE001
                self._note_split_run(len(requests), error)
        return [self._answer_alone(request) for request in requests]

    def _note_split_run(self, requests: int, error: Exception) -> None:
        self.split_runs += 1
        if self.split_runs == 1:
            self._logger.log_warn(
                f"'{self._model}': {requests} requests could not be run together and were run one"
                f" by one ({onnx_session.explain(error)}); further cases are only counted"
            )

    def close(self) -> None:
        """Log how many joint runs failed, if more than the one already logged."""
        if self.split_runs > 1:
            self._logger.log_warn(f"'{self._model}': {self.split_runs} joint runs failed in all")

    def _answer_together(self, requests: list[Any]) -> list[Any]:
        if self._only_input is not None:
            parts = [request.inputs()[0].as_numpy() for request in requests]
            sizes = [len(part) for part in parts]
            feed = {self._only_input: np.concatenate(parts)}
        else:
            feeds = [self._feed(request) for request in requests]
            names = feeds[0].keys()
            if any(other.keys() != names for other in feeds):
                raise Unlike("they have different inputs")
            sizes = [len(next(iter(each.values()))) for each in feeds]
            feed = {name: np.concatenate([each[name] for each in feeds]) for name in names}
        requested = self._requested_outputs(requests)
        results = self._session.run(requested, feed, self._run_options)
        total = sum(sizes)
        if any(len(output) != total for output in results):
            raise Unlike("the model does not answer them row by row")
        return self._split(requests, sizes, requested, results)

    def _split(
        self, requests: list[Any], sizes: list[int], requested: list[str], results: list[Any]
    ) -> list[Any]:
        tensor, response = self._tensor, self._response
        responses = []
        start = 0
        if len(requested) == 1:
            name, output = requested[0], results[0]
            for size in sizes:
                end = start + size
                responses.append(response([tensor(name, output[start:end])]))
                start = end
            return responses
        for request, size in zip(requests, sizes):
            end = start + size
            wanted = request.requested_output_names()
            responses.append(
                response(
                    [
                        tensor(name, output[start:end])
                        for name, output in zip(requested, results)
                        if name in wanted
                    ]
                )
            )
            start = end
        return responses

    def _answer_alone(self, request: Any) -> Any:
        try:
            requested = self._requested_outputs([request])
            results = self._run(requested, request)
            outputs = []
            for name, output in zip(requested, results):
                if self._bfloat16 is not None and self._bfloat16.has(name):
                    outputs.append(output)
                    continue
                shape = self._scalar_shapes.get(name)
                array = np.asarray(output)
                outputs.append(self._tensor(name, array if shape is None else array.reshape(shape)))
            return self._response(outputs)
        # ONNX Runtime's errors have no common base; each belongs in the answer.
        except Exception as error:  # noqa: BLE001
            return self._response([], self._error(onnx_session.explain(error)))

    def _run(self, requested: list[str], request: Any) -> list[Any]:
        if self._bfloat16 is None:
            outputs: list[Any] = self._session.run(
                requested, self._feed(request), self._run_options
            )
            return outputs
        inputs = request.inputs()
        results: list[Any] = self._bfloat16.run(requested, inputs, self._array, self._run_options)
        return results

    def _feed(self, request: Any) -> dict[str, Any]:
        return {tensor.name(): self._array(tensor) for tensor in request.inputs()}

    def _array(self, tensor: Any) -> Any:
        """Return an input in the model's form."""
        name, array = tensor.name(), tensor.as_numpy()
        if name in self._strings:
            array = _text(array)
        return array.reshape(()) if name in self._scalars else array

    def _requested_outputs(self, requests: list[Any]) -> list[str]:
        """Return the outputs that any request asks for, in the configuration's order."""
        if len(self._outputs) == 1:
            return self._outputs
        requested: set[str] = set()
        for request in requests:
            requested.update(request.requested_output_names())
        return [name for name in self._outputs if name in requested]


def _text(array: Any) -> Any:
    """Return an array of `bytes` as `str`, ONNX Runtime's form of strings."""
    strings = np.empty(array.size, dtype=np.object_)
    strings[:] = [element.decode("utf-8") for element in array.ravel()]
    return strings.reshape(array.shape)
