"""ONNX models on Triton's Python backend, under the native backend's name and configuration.

Runs in the stub process of one model instance; each instance has its own session. Requests that
Triton hands over together run together; a failing request fails alone. Imports nothing of Cloche.
Syntax for Python 3.8.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

import triton_python_backend_utils as pb_utils

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

import onnx_session  # type: ignore[import-not-found]
import onnx_signature  # type: ignore[import-not-found]
from onnx_batches import Runner  # type: ignore[import-not-found]


class TritonPythonModel:
    """The model; the stub makes one per instance."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Fill in the inputs, outputs and batching that config.pbtxt omits."""
        document = config.as_dict()
        if onnx_signature.is_complete(document):
            return config  # without loading the model
        try:
            path = onnx_session.model_path(
                pb_utils.get_model_dir(), document["default_model_filename"], document["name"]
            )
            session = onnx_session.load(path, document)
            signature = onnx_signature.read(session)
            notes = onnx_signature.complete(document, signature)
        except onnx_session.ModelError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        for note in notes:
            pb_utils.Logger.log_warn(note)
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model and check its signature against the configuration."""
        document = json.loads(args["model_config"])
        folder = os.path.join(  # noqa: PTH118
            args["model_repository"], args["model_version"]
        )
        if args["model_instance_kind"] == "GPU":
            pb_utils.Logger.log_warn(
                f"'{document['name']}' is asked to run on a GPU; this ONNX Runtime runs it on the"
                " CPU"
            )
        try:
            path = onnx_session.model_path(
                folder, document["default_model_filename"], document["name"]
            )
            session = onnx_session.load(path, document)
            signature = onnx_signature.read(session)
            onnx_signature.validate(document, signature)
            run_options = onnx_session.run_options(document)
        except onnx_session.ModelError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self._runner = Runner(session, signature, document, run_options, pb_utils)
        # Objects that exist now stay: a collection during a request need not scan them.
        gc.collect()
        gc.freeze()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests that Triton batched together."""
        responses: list[Any] = self._runner.answer(requests)
        return responses

    def finalize(self) -> None:
        """Release the session."""
        self._runner.close()
        del self._runner
