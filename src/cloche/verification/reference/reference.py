"""The contract of a framework's reference: how to run a model without the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelRepository, ModelSnapshot
    from cloche.store import Store
    from cloche.verification.asked import Model


@dataclass(frozen=True, slots=True)
class Interpreters:
    """Python interpreters for running a model."""

    server: Path | None
    """The server's Python, with its runtimes; None where it does not run."""
    own: Path | None
    """The Python of the model's own environment, if it has one."""


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
        """Return how to run a model, None if its calling convention is unknown.

        Raises ClocheError `golden.environment` if its environment is missing.
        """
