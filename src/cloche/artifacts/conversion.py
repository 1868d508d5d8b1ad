"""A model converted to another format, and how close its answers are to the original's."""

from __future__ import annotations

from dataclasses import dataclass

from cloche.artifacts.model import FileEntry, TensorSpec
from cloche.artifacts.verification import InferenceBody


@dataclass(frozen=True, slots=True)
class Parity:
    """How far one output of a converted model is from the original's, over all requests tried."""

    name: str
    datatype: str
    rows: int
    scale: float
    """The largest magnitude of the original's answers."""
    tolerance: float
    """What a value may be off, absolute."""
    max_absolute: float
    mean_absolute: float
    max_relative: float
    """Over values of at least a thousandth of the scale."""
    labels: tuple[int, int] | None = None
    """Rows whose largest value is at the same place, of those without a tie; None for others."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The files of a converted model, and what made and measured it.

    `digest` is that of the files; the numbers are measured, so no part of it.
    """

    digest: str
    files: tuple[FileEntry, ...]
    entry: str
    converter: str
    """`torch.onnx (dynamo) 2.15.0, opset 18`"""
    parity: tuple[Parity, ...]
    requests: int
    """How many requests both answered."""


@dataclass(frozen=True, slots=True)
class OwnRun:
    """What a model showed in its own environment: its interface, and its conversion or why not."""

    framework: str
    """`pytorch 2.15.0`"""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...] = ()
    conversion: Conversion | None = None
    why: str | None = None
    """Why it is not converted, in the converter's words; None if it is, or was not tried."""
    sample: InferenceBody | None = None
    """A request that it answered, where a made one would be worth less: text as token ids."""
