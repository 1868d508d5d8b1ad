"""What a repository asks of a backend: which models it runs, and what it adds for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import FileEntry, Lock, ModelFacts, ModelFormat, ModelSnapshot
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec
    from cloche.store import Store


@dataclass(frozen=True, slots=True)
class BackendFiles:
    """A model's files as its backend wants them, by their path in the model's folder."""

    files: tuple[FileEntry, ...]
    filename: str | None = None
    """Of the model in its version folder, where it is not the backend's default."""


@dataclass(frozen=True, slots=True)
class ItemCost:
    """What one item of a batch takes, and how much a batch may take by default; in bytes."""

    size: int
    budget: int
    what: str
    """What is counted: `activations`, `data`"""


class Backend(Protocol):
    """One backend of Triton."""

    name: str
    """As config.pbtxt names it."""
    formats: frozenset[ModelFormat]
    """Of the snapshots whose models it runs."""
    batches: bool
    """Whether it can run joined requests."""
    optional_inputs: bool
    """Whether a model that batches may have inputs that a request leaves out."""
    empty_axes: bool
    """Whether an axis that is always of size 0 may be written as one of any size."""
    completed_batch: int
    """max_batch_size that it sets where a configuration leaves all to it; 0: it completes none."""

    def reason(self, facts: ModelFacts) -> str:
        """Return why this backend serves the model."""

    def files(self, snapshot: ModelSnapshot, lock: Lock | None, store: Store) -> BackendFiles:
        """Return the model's files; raises ClocheError for a model that it cannot run."""

    def item_cost(self, facts: ModelFacts) -> ItemCost | str:
        """Return what one item of a batch takes, or why that is not known."""

    def unsafe_warmup(self, facts: ModelFacts) -> str | None:
        """Return why made-up values could be refused by the model, None where they cannot."""

    def configure(
        self, config: Any, spec: ServiceSpec, lock: Lock | None, reasons: Reasons
    ) -> None:
        """Set the parameters and settings that this backend reads, each with its reason.

        Raises UsageError (`repository.…`) for a setting that it would refuse.
        """
