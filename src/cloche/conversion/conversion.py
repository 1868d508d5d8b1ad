"""The contract of a framework's converter."""

from __future__ import annotations

from typing import Protocol


class Converter(Protocol):
    """Finds the interface of a framework's models and converts them, with scripts of its own."""

    framework: str
    """The key of `Loading.framework`."""
    script: str
    """Its script in `scripts/`, whose docstring has the form of a job and its outcome."""
    requirements: tuple[str, ...]
    """What its script needs in the model's environment, beside the framework."""
