"""The contract of a framework's converter.

What runs in the model's environment are scripts, `FRAMEWORK_model.py` (which loads it) and
`FRAMEWORK_conversion.py`: `scripts/converting.py` is their contract.
"""

from __future__ import annotations

from typing import Protocol


class Converter(Protocol):
    """Finds the interface of a framework's models, and converts them to ONNX."""

    framework: str
    """`Loading.framework` of its models."""
    requirements: tuple[str, ...]
    """What its scripts need in the model's environment, beside the framework."""
