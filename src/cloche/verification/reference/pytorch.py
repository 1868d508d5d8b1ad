"""Models of PyTorch, called in their own environment as PyTorch calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.verification.direct_run import Model, Variant

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelRepository, ModelSnapshot
    from cloche.store import Store
    from cloche.verification.reference.reference import Interpreters

_VARIANTS = (Variant({"threads": 1}), Variant({"threads": 0}))


class PyTorchReference:
    """PyTorch itself; implements `cloche.verification.reference.Reference`."""

    def model(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        repository: ModelRepository,  # noqa: ARG002 - the file as it was saved counts
        store: Store,
        interpreters: Interpreters,
    ) -> Model | None:
        """Return how to call the module."""
        if facts.loading is None:
            return None
        if interpreters.own is None:
            raise ClocheError("golden.environment", "The model's own environment is missing.")
        path = store.tree_path(snapshot.digest) / facts.loading.path
        how = {"how": {"kind": facts.loading.kind, **facts.loading.options}}
        return Model("run_torch.py", interpreters.own, path, how, _VARIANTS, snapshot.reference)
