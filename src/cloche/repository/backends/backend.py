"""The contract of a backend: which models it runs, and what it adds to their repository."""

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
    """A model's files in the layout of its backend, by path in the model's folder."""

    files: tuple[FileEntry, ...]
    filename: str | None = None
    """The model's file in its version folder, if not the backend's default."""


@dataclass(frozen=True, slots=True)
class ItemCost:
    """Bytes that one item of a batch takes, and bytes that a batch may take by default."""

    size: int
    budget: int
    what: str
    """What is counted: `activations`, `data`"""


class Backend(Protocol):
    """One backend of Triton."""

    name: str
    """Its name in config.pbtxt."""
    formats: frozenset[ModelFormat]
    """Formats of the snapshots that it runs."""
    batches: bool
    """Whether it can run joined requests."""
    optional_inputs: bool
    """Whether a batching model may have optional inputs."""
    empty_axes: bool
    """Whether an axis of constant size 0 may be written as dynamic."""
    completed_batch: int
    """max_batch_size that it fills in for an empty configuration; 0: it completes none."""

    def reason(self, facts: ModelFacts) -> str:
        """Return why this backend serves the model."""

    def files(
        self, snapshot: ModelSnapshot, facts: ModelFacts, lock: Lock | None, store: Store
    ) -> BackendFiles:
        """Return the model's files; raises ClocheError for a model that it cannot run."""

    def item_cost(self, facts: ModelFacts) -> ItemCost | str:
        """Return the cost of one item of a batch, or why it is unknown."""

    def configure(
        self, config: Any, spec: ServiceSpec, lock: Lock | None, reasons: Reasons
    ) -> None:
        """Set the parameters and settings that this backend reads, each with its reason.

        Raises UsageError (`repository.…`) for a setting that the backend would refuse.
        """
