"""What this version serves of a finished repository, and what its backends fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.artifacts import ModelFacts


@dataclass(frozen=True, slots=True)
class Completion:
    """What a backend fills in where a config.pbtxt leaves inputs and outputs out."""

    inspect: Callable[[Path], ModelFacts]
    """Gives the facts of the model's own file."""
    max_batch_size: int
    """What it sets where the file has a batch axis and the configuration no size."""


@dataclass(frozen=True, slots=True)
class ServedBackends:
    """The backends that this version serves, and what some of them fill in, both by name."""

    names: tuple[str, ...]
    completions: Mapping[str, Completion]
