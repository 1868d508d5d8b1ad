"""TorchScript on Triton's Python backend, under the native backend's name and configuration.

Inputs are called as the arguments of `forward`, or `NAME__0`, `NAME__1` … by their place, or stand
in the order of the configuration; outputs are called `NAME__0` … (README of Triton's PyTorch
backend). The scripts beside this file are those of Cloche's direct run of such a model. Imports
nothing of Cloche. Syntax for Python 3.8.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import triton_python_backend_utils as pb_utils

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

import own_model
import own_serving


class TritonPythonModel:
    """The model; the stub makes one per instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the script that the configuration names."""
        config = json.loads(args["model_config"])
        name = config.get("default_model_filename") or "model.pt"
        path = os.path.join(args["model_repository"], args["model_version"], name)  # noqa: PTH118
        how = {
            "kind": "torchscript",
            "inputs": config["input"],
            "outputs": config["output"],
            "batched": int(config["max_batch_size"]) > 0,
        }
        try:
            model = own_model.load("pytorch", path, how)
        except own_model.Unusable as error:
            raise pb_utils.TritonModelException(error.what) from None
        self._serving = own_serving.Serving(model, config)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests that Triton batched together."""
        answers: list[Any] = self._serving.answer(requests)
        return answers
