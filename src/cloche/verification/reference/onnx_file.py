"""ONNX files, run by ONNX Runtime on the CPU with a plain graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.verification.asked import Model, Variant

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelRepository, ModelSnapshot
    from cloche.store import Store
    from cloche.verification.reference.reference import Interpreters


_VARIANTS = (
    Variant({"level": "all", "threads": 1}),
    Variant({"level": "none", "threads": 0}),
)
"""Two levels of graph optimisation, with one thread and with the runtime's own choice."""


class OnnxReference:
    """ONNX Runtime itself; implements `cloche.verification.reference.Reference`."""

    def model(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,  # noqa: ARG002 - the file that is served counts
        repository: ModelRepository,
        store: Store,
        interpreters: Interpreters,
    ) -> Model | None:
        """Return how to run the only ONNX file of a repository with one model."""
        files = [entry.path for entry in repository.files if entry.path.endswith(".onnx")]
        python = interpreters.server
        if len(files) != 1 or len(repository.models) != 1 or python is None:
            return None
        path = store.tree_path(repository.digest) / files[0]
        return Model("run_onnx.py", python, path, {}, _VARIANTS, snapshot.reference)
