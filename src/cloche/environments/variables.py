"""Variables of every process that runs a model: it tells nobody, and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TELLS_NOBODY = {
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""ONNX Runtime (since 1.29 on Linux, too) sends its maker the name of each model's file and hashes
of its weights, from a queue in ~/.cache; MLflow and the hub's client have telemetry as well."""


def leaves_files_in(folder: Path) -> dict[str, str]:
    """Return what has frameworks leave their files in a folder that is removed afterwards.

    AutoGraph leaves its code under TMPDIR, PyTorch what it compiled; Matplotlib its list of fonts,
    Keras its settings.
    """
    return dict.fromkeys(("TMPDIR", "MPLCONFIGDIR", "KERAS_HOME"), str(folder))
