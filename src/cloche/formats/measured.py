"""What `make formats` measured: one real model of each variant, deployed and verified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import decode

if TYPE_CHECKING:
    from cloche.artifacts import Conversion

FILE = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True)
class Measured:
    """How one model was served, and how close its answers were."""

    model: str
    """Which one: the name of its file or folder."""
    framework: str
    """What made it, with its release where that is known."""
    backend: str
    """The Triton backend that served it."""
    judge: str
    """What judged the served answer, which passed."""
    converter: str | None = None
    """What made the ONNX model; None for a model that was not converted."""
    why: str | None = None
    """Why it was not converted, if something could have been."""
    parity: Closeness | None = None


@dataclass(frozen=True, slots=True)
class Closeness:
    """How far a converted model is from the original, over all outputs of numbers.

    The numbers are rounded so that the noise of another run does not change them.
    """

    max_absolute: float
    """No value was further off: a power of ten."""
    scale: float
    """The largest magnitude of the original's answers, to one digit."""
    labels: str | None
    """`120 of 120`: rows with the same label; None for a model without labels."""
    requests: int


def read() -> dict[str, Measured]:
    """Return the measurements by the name of the variant."""
    return decode(dict[str, Measured], FILE.read_bytes())


def closeness(conversion: Conversion) -> Closeness:
    """Return the numbers of a conversion: those of its worst output."""
    parity = conversion.parity
    worst = max(parity, key=lambda each: each.max_absolute / (each.scale or 1.0))
    labels = [each.labels for each in parity if each.labels is not None]
    equal = min(labels, key=lambda pair: pair[0] / pair[1] if pair[1] else 1.0, default=None)
    return Closeness(
        max_absolute=_power_of_ten(worst.max_absolute),
        scale=float(f"{worst.scale:.1g}"),
        labels=f"{equal[0]} of {equal[1]}" if equal is not None else None,
        requests=conversion.requests,
    )


def _power_of_ten(value: float) -> float:
    """Return the smallest power of ten that is not below a value; 0 for 0."""
    return 10.0 ** math.ceil(math.log10(value)) if value > 0 else 0.0
