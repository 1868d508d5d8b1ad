"""Run a model with its own framework: `run_own.py FOLDER MODEL`.

`FOLDER/model.json` has the `framework` and `how` it loads the model (`own_model.py`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import job  # type: ignore[import-not-found]
import own_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Own(job.Framework):  # type: ignore[misc]
    """One model."""

    def __init__(self, model: own_model.OwnModel) -> None:
        """Take a loaded model."""
        self._model = model

    def run(self, argument: dict[str, Array]) -> dict[str, Array]:
        """Return all outputs."""
        return self._model.call(argument)


def main(folder: str, path: str) -> None:
    """Do the job in `folder` with the model at `path`."""
    loading = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    job.work(Path(folder), Own(own_model.load(loading["framework"], path, loading["how"])))


if __name__ == "__main__":
    exchange.end_with_parent()
    main(*sys.argv[1:])
