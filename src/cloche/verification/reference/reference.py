"""What a golden request asks of a framework: how a model is run without the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelRepository, ModelSnapshot
    from cloche.store import Store
    from cloche.verification.direct_run import Model


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The Pythons that a model can be run with."""

    server: Path
    """Of the server, with the runtimes that it serves by."""
    own: Path | None
    """Of the model's own environment, where it has one."""


class Reference(Protocol):
    """Runs the models of one backend directly."""

    def model(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        repository: ModelRepository,
        store: Store,
        interpreters: Interpreters,
    ) -> Model | None:
        """Return how to run a model, None where it does not say how it is called.

        Raises ClocheError `golden.environment` where what it runs in is missing.
        """
