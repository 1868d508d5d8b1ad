"""What can be known of a model without running it.

`inspect` reads a snapshot on disk and returns `ModelFacts`: tensors, batch axis, size, memory,
operators that the runtime lacks, and findings. No model code runs and nothing is unpickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat, Severity
from cloche.errors import ClocheError, ErrorGroup

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelSnapshot

__all__ = ["inspect", "require_servable"]


def inspect(snapshot: ModelSnapshot, path: Path) -> ModelFacts:
    """Return the facts of the model whose files stand under `path`.

    Raises ClocheError for a file that is not what its format says, and for what cannot be served
    at all; what can be served with a caveat becomes a finding. A finished Triton repository says
    of itself what it is and is read by `cloche.repository.finished`.
    """
    if snapshot.format is ModelFormat.ONNX:
        from cloche.inspection import onnx

        return onnx.inspect_file(path / snapshot.entry, root=path)
    if snapshot.format is ModelFormat.MLFLOW:
        from cloche.inspection import mlflow

        return mlflow.inspect_folder(snapshot, path)
    raise ClocheError(
        "inspection.format",
        f"There is no inspection for a model of the format {snapshot.format.value!r}.",
        where=snapshot.pinned,
        hint="Deploy an ONNX file or a folder saved by MLflow.",
    )


def require_servable(facts: ModelFacts, where: str) -> None:
    """Raise what the findings say cannot be served; `where` is the model as it was pinned."""
    errors = [
        ClocheError(finding.code, finding.what, where=finding.where or where, hint=finding.hint)
        for finding in facts.findings
        if finding.severity is Severity.ERROR
    ]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ErrorGroup("inspection.unservable", "The model cannot be served.", errors)
