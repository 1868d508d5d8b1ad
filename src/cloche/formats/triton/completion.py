"""The served backends of finished repositories, and what they complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.artifacts import ModelFacts


@dataclass(frozen=True, slots=True)
class Completion:
    """How a backend completes a config.pbtxt without inputs and outputs."""

    inspect: Callable[[Path, str], ModelFacts]
    """Returns the facts of the model's own file, from its path and as the user knows it."""
    max_batch_size: int
    """max_batch_size that it sets if the file has a batch axis and the configuration no size."""


@dataclass(frozen=True, slots=True)
class ServedBackends:
    """The backends that this version serves, and what some of them complete, by name."""

    names: tuple[str, ...]
    completions: Mapping[str, Completion]
