"""Models saved by MLflow, run as Python functions in their own environment."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts.model import LENGTHS
from cloche.errors import ClocheError
from cloche.verification.asked import Model
from cloche.verification.reference.own import VARIANTS

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelRepository, ModelSnapshot, Signature
    from cloche.store import Store
    from cloche.verification.reference.reference import Interpreters

_FLAVOR = "python_function"


class PyfuncReference:
    """MLflow itself; implements `cloche.verification.reference.Reference`."""

    def model(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        repository: ModelRepository,  # noqa: ARG002 - the folder as it was saved counts
        store: Store,
        interpreters: Interpreters,
    ) -> Model | None:
        """Return how to call the function; None for code that MLflow did not save."""
        if _FLAVOR not in snapshot.metadata.flavors:
            return None
        if interpreters.own is None:
            raise ClocheError("golden.environment", "The model's own environment is missing.")
        files = store.tree_path(snapshot.digest)
        folder = files / PurePosixPath(snapshot.entry).parent
        inputs = [spec for spec in facts.inputs if spec.marks is None]
        outputs = () if facts.outputs_assumed else facts.outputs
        lists = {spec.marks for spec in outputs if spec.name == f"{spec.marks}{LENGTHS}"}
        description = {
            "columns": facts.columns,
            "inputs": [{"name": spec.name, "datatype": spec.datatype} for spec in inputs],
            "outputs": {
                spec.name: {
                    "datatype": spec.datatype,
                    "shape": list(spec.shape),
                    "lists": spec.name in lists,
                }
                for spec in outputs
                if spec.marks is None
            },
            "whole": _is_whole(snapshot.metadata.signature),
        }
        python, name = interpreters.own, snapshot.reference
        return Model(
            "run_pyfunc.py", python, folder, description, VARIANTS, name, confined_to=files,
            network=True,
        )  # fmt: skip


def _is_whole(signature: Signature | None) -> bool:
    """Return whether a mapping that is returned is one value: that of an output without a name."""
    outputs = () if signature is None else signature.outputs
    if signature is None or len(outputs) != 1:
        return False
    return outputs[0].name in signature.unnamed and outputs[0].holds == "json"
