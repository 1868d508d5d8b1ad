"""Models that their own framework loads, called in their own environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.verification.asked import Model, Variant

if TYPE_CHECKING:
    from cloche.artifacts import Loading, ModelFacts, ModelRepository, ModelSnapshot
    from cloche.store import Store
    from cloche.verification.reference.reference import Interpreters

_SCRIPTS = Path(__file__).parent / "scripts"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that keep a framework to one thread."""
_BUILT_ON = {"transformers": ("pytorch",)}
"""Frameworks whose loaders another's imports."""
VARIANTS = (Variant(environment=dict.fromkeys(ONE_THREAD, "1")), Variant())


class OwnReference:
    """The framework itself; implements `cloche.verification.reference.Reference`."""

    def model(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        repository: ModelRepository,  # noqa: ARG002 - the file as it was saved counts
        store: Store,
        interpreters: Interpreters,
    ) -> Model | None:
        """Return how to call the model."""
        if facts.loading is None:
            return None
        if interpreters.own is None:
            raise ClocheError("golden.environment", "The model's own environment is missing.")
        files = store.tree_path(snapshot.digest)
        path = files / facts.loading.path
        how = described(facts.loading)
        python, name = interpreters.own, snapshot.reference
        return Model("run_own.py", python, path, how, VARIANTS, name, confined_to=files)


def described(loading: Loading) -> dict[str, object]:
    """Return what the scripts read of how a model is loaded: `framework` and `how`."""
    return {"framework": loading.framework, "how": {"kind": loading.kind, **loading.options}}


def serving_scripts(framework: str) -> tuple[Path, ...]:
    """Return the scripts that serve models of a framework: those that load them, and `Serving`."""
    own = (_SCRIPTS / "own_model.py", _SCRIPTS / "own_serving.py")
    frameworks = (framework, *_BUILT_ON.get(framework, ()))
    return (*own, *(path for name in frameworks for path in sorted(_SCRIPTS.glob(f"{name}_*.py"))))
