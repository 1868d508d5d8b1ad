"""Serves a model with its own framework, in Triton's Python backend.

This file, the scripts beside it (`own_*.py`, `FRAMEWORK_*.py`) and `loading.json` are written into
the model's repository (`1/`, with the model's files as `1/model/`), and run in the model's own
environment: they import nothing of Cloche and keep to the syntax of Python 3.8. `loading.json` has
the `path` of the model, its `framework` and `how` it loads it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import own_model
import own_serving


class TritonPythonModel:
    """What the Python backend calls: `initialize` once, `execute` for each batch."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model from the folder beside this file."""
        folder = Path(args["model_repository"], args["model_version"])
        loading = json.loads((folder / "loading.json").read_text(encoding="utf-8"))
        path = str(folder / "model" / loading["path"])
        model = own_model.load(loading["framework"], path, loading["how"])
        self._serving = own_serving.Serving(model, json.loads(args["model_config"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request."""
        answers: list[Any] = self._serving.answer(requests)
        return answers
