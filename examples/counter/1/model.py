"""Adds up the requests of each sequence."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The totals of the sequences that are open."""

    def initialize(self, args):  # noqa: ARG002 - the interface of Triton
        self._totals = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        value, start, end, sequence = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy().item()
            for name in ("x", "START", "END", "ID")
        )
        total = value if start else self._totals[sequence] + value
        self._totals[sequence] = total
        if end:
            del self._totals[sequence]
        tensor = pb_utils.Tensor("total", np.array([[total]], np.float32))
        return pb_utils.InferenceResponse([tensor])
