"""Run a PyTorch model in its own environment: `run_torch.py FOLDER MODEL`.

`FOLDER/model.json` has `how` it is loaded (`torch_model.py`), and `threads` (0: PyTorch's choice).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import job  # type: ignore[import-not-found]
import torch_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Torch(job.Framework):  # type: ignore[misc]
    """One module, called without gradients."""

    def __init__(self, path: str, how: dict[str, Any]) -> None:
        """Load a file."""
        self._model = torch_model.load(path, how)

    def run(self, argument: dict[str, Array]) -> dict[str, Array]:
        """Return all outputs."""
        outputs: dict[str, Array] = self._model.call(argument)
        return outputs


def main(folder: str, model: str) -> None:
    """Do the job in `folder` with the file `model`."""
    import torch

    description = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    if description.get("threads"):
        torch.set_num_threads(description["threads"])
    job.work(Path(folder), Torch(model, description["how"]))


if __name__ == "__main__":
    exchange.end_with_parent()
    main(*sys.argv[1:])
