"""Models saved by MLflow, run as Python functions in their own environment."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.verification.direct_run import Model, Variant

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelRepository, ModelSnapshot, TensorSpec
    from cloche.store import Store
    from cloche.verification.reference.reference import Interpreters

_FLAVOR = "python_function"
_UNNAMED = ["input"]
"""The inputs of a model whose example is one unnamed array."""

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_VARIANTS = (Variant(environment=dict.fromkeys(_ONE_THREAD, "1")), Variant())


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
        folder = store.tree_path(snapshot.digest) / PurePosixPath(snapshot.entry).parent
        description = {
            "columns": facts.columns,
            "inputs": _names_and_types(facts.inputs),
            "outputs": _names_and_types(facts.outputs),
            "unnamed": _unnamed_inputs(snapshot, facts),
        }
        return Model("run_pyfunc.py", interpreters.own, folder, description, _VARIANTS)


def _unnamed_inputs(snapshot: ModelSnapshot, facts: ModelFacts) -> list[str]:
    """Return the inputs that Cloche named because the model was logged without names."""
    signature = snapshot.metadata.signature
    if signature is not None:
        return list(signature.unnamed)
    names = [spec.name for spec in facts.inputs]
    return names if names == _UNNAMED and not facts.columns else []


def _names_and_types(specs: tuple[TensorSpec, ...]) -> list[dict[str, str]]:
    return [{"name": spec.name, "datatype": spec.datatype} for spec in specs]
