"""Python: models that their own framework runs, each in its own environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ENVIRONMENT_PARAMETER, FileEntry, ModelFormat, Severity
from cloche.model_config.names import LOCK_FILE, OWN_ENVIRONMENT, VERSION
from cloche.repository.backends.backend import BackendFiles, ItemCost
from cloche.repository.backends.settings import refuse_graph_level, write_parameters
from cloche.repository.tensors import item_bytes
from cloche.verification.reference import own

if TYPE_CHECKING:
    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec
    from cloche.store import Store

_ROOM = Path(__file__).parents[1]
_PYFUNC = tuple(sorted((_ROOM / "pyfunc").glob("*.py")))
"""What serves the Python function of an MLflow folder."""
_LOADING = "loading.json"
_TRANSPORT = 64 * 2**20
"""Bytes of inputs and outputs that a batch may take; what the code allocates is unknown."""


class Python:
    """Triton's Python backend; implements `cloche.repository.backends.Backend`."""

    name = "python"
    formats = frozenset({
        ModelFormat.MLFLOW, ModelFormat.PYTORCH, ModelFormat.SKLEARN, ModelFormat.XGBOOST,
        ModelFormat.LIGHTGBM, ModelFormat.TRANSFORMERS,
        ModelFormat.TENSORFLOW, ModelFormat.KERAS, ModelFormat.JAX,
    })  # fmt: skip
    batches = True
    optional_inputs = True
    empty_axes = True
    completed_batch = 0

    def reason(self, facts: ModelFacts) -> str:
        """Return why this backend serves the model."""
        return f"the model is Python code ({facts.framework}), run in its own environment"

    def files(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        lock: Lock | None,
        store: Store,
    ) -> BackendFiles:
        """Return the serving script, the folder as saved, and the locked requirements."""
        loading = facts.loading
        code = _PYFUNC
        if loading is not None:
            code = (_ROOM / "own" / "model.py", *own.serving_scripts(loading.framework))
        files = [
            *(_written(f"{VERSION}/{path.name}", path.read_bytes(), store) for path in code),
            *(
                FileEntry(f"{VERSION}/model/{file.path}", file.size, file.digest)
                for file in snapshot.files
            ),
        ]
        if loading is not None:
            how = {"path": loading.path, **own.described(loading)}
            text = json.dumps(how, sort_keys=True)
            files.append(_written(f"{VERSION}/{_LOADING}", text.encode(), store))
        if lock is not None:
            text = f"# python {lock.python}\n{lock.text}"
            files.append(_written(LOCK_FILE, text.encode(), store))
        return BackendFiles(tuple(files))

    def item_cost(self, facts: ModelFacts) -> ItemCost | str:
        """Return the bytes of one item's inputs and outputs."""
        taken, given = item_bytes(facts.inputs), item_bytes(facts.outputs)
        if taken is None:
            return "the size of one item varies by request, so a modest batch"
        # Outputs of unknown size are assumed to be as large as a row of input.
        return ItemCost(taken + (taken if given is None else given), _TRANSPORT, "data")

    def configure(
        self, config: Any, spec: ServiceSpec, lock: Lock | None, reasons: Reasons
    ) -> None:
        """Set the environment; no other parameter of a Python model is read."""
        for key in spec.server.parameters:
            reasons.find(
                Severity.WARNING,
                "parameter",
                f"The parameter {key} is set, but nothing that serves this model reads it.",
                "Remove it from server.parameters.",
            )
        write_parameters(config, spec, reasons)
        if lock is not None:
            config.parameters[ENVIRONMENT_PARAMETER].string_value = OWN_ENVIRONMENT
            why = f"the model's own requirements, locked for Python {lock.python}"
            reasons.model(f"parameters.{ENVIRONMENT_PARAMETER}", OWN_ENVIRONMENT, why)
        refuse_graph_level(spec)


def _written(path: str, data: bytes, store: Store) -> FileEntry:
    return FileEntry(path, len(data), store.add_bytes(data))
