"""MLflow's PyTorch flavor: the file that PyTorch saved, without MLflow's wrapper around it.

`data/model.pth` is a whole module or a script, `data/model.pt2` an exported program. A table as
input stays with the Python function, which makes one matrix of its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty, Finding, Loading, ModelFacts
from cloche.formats.pytorch import inspection
from cloche.formats.pytorch.archive import Kind, contents

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelOptions, ModelSnapshot, Signature

FLAVOR = "pytorch"
_CODE = "code"
"""Where MLflow puts the code that a model needs (`code_paths`)."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The Python and the requirements that a folder declares."""

    python: str
    requirements: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def loading(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> Loading | None:
    """Return how PyTorch loads the model of a folder; None if something else has to."""
    signature = snapshot.metadata.signature
    if FLAVOR not in snapshot.metadata.flavors or (signature is not None and signature.columns):
        return None
    folder = PurePosixPath(snapshot.entry).parent
    found = [
        (entry.path, held)
        for entry in snapshot.files
        if PurePosixPath(entry.path).parent == folder / "data"
        and (held := contents(root / entry.path)) is not None
    ]
    if len(found) != 1:
        return None
    path, held = found[0]
    loaded = inspection.loading(held, path, options, snapshot.pinned)
    has_code = any(
        PurePosixPath(entry.path).is_relative_to(folder / _CODE) for entry in snapshot.files
    )
    if held.kind is Kind.MODULE and has_code:
        loaded.options["code"] = [f"../{_CODE}"]
    return loaded


def facts(
    snapshot: ModelSnapshot, loaded: Loading, told: Signature | None, declared: Environment
) -> ModelFacts:
    """Return what the folder tells without the model being loaded."""
    inputs = told.inputs if told is not None else ()
    outputs = told.outputs if told is not None else ()
    return ModelFacts(
        format=snapshot.format,
        framework=FLAVOR,
        backend="python",
        inputs=inputs,
        outputs=outputs,
        outputs_assumed=not outputs,
        batch=BatchAxis(present=False, certainty=Certainty.UNKNOWN, why="a run of the model tells"),
        size_bytes=snapshot.size,
        memory_bytes=None,
        python=declared.python,
        requirements=declared.requirements,
        loading=loaded,
        findings=declared.findings,
    )
