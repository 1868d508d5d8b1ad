"""MLflow's PyTorch flavor: the file that PyTorch saved, without MLflow's wrapper around it.

`data/model.pth` is a whole module or a script, `data/model.pt2` an exported program. A table as
input stays with the Python function, which makes one matrix of its columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.mlflow import logged
from cloche.formats.pytorch import inspection
from cloche.formats.pytorch.archive import Kind, contents

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Loading, ModelOptions, ModelSnapshot

FLAVOR = "pytorch"


def loading(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> Loading | None:
    """Return how PyTorch loads the model of a folder; None if something else has to."""
    signature = snapshot.metadata.signature
    if FLAVOR not in snapshot.metadata.flavors or (signature is not None and signature.columns):
        return None
    found = logged.only_file(snapshot, root, contents)
    if found is None:
        return None
    path, held = found
    loaded = inspection.loading(held, path, options, snapshot.pinned)
    if held.kind is Kind.MODULE:
        loaded.options.update(logged.code(snapshot))
    return loaded
