"""What a run of a model told, for whoever asks the same of the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

from cloche.artifacts.conversion import Conversion
from cloche.artifacts.model import ModelFacts
from cloche.artifacts.repository import Lock
from cloche.artifacts.verification import Golden


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model's requests can be joined, whether it converts and how closely, and the rest.

    It holds no bytes of the model, and nothing of the machine that it was measured on.
    """

    schema: int
    model: str
    """The digest of the model's files."""
    asked: str
    """The digest of all that was asked: model, how it is loaded and converted, example, version."""
    facts: ModelFacts
    """As they are after the run."""
    lock: Lock | None = None
    conversion: Conversion | None = None
    """With its parity; None where it is served as it is."""
    golden: Golden | None = None
    """What it was asked, and what judged the answer; the bodies themselves lie elsewhere."""
