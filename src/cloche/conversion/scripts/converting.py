"""What a framework's converter gives: the base class of `FRAMEWORK_conversion.Conversion`.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from interface import Interface, Tensor, Values
from interface_cases import cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from own_model import OwnModel

    Arrays = dict[str, NDArray[Any]]


class Exported:
    """An ONNX model and what made it."""

    def __init__(self, model: Any, converter: str) -> None:
        """Take a ModelProto and the exporter's name and release."""
        self.model, self.converter = model, converter


class Converting:
    """One loaded model on its way to ONNX; the names of its tensors are what clients see."""

    def __init__(self, model: OwnModel, example: Arrays | None) -> None:
        """Take the model, and a request of the user or of the model."""
        self.model, self.example = model, example

    def framework(self) -> str:
        """Return what loaded the model, with its release: `pytorch 2.15.0`."""
        raise NotImplementedError

    def tells(self) -> bool:
        """Return whether the model itself tells its inputs, whatever anybody declares."""
        return False

    def interface(self, told: list[dict[str, Any]] | None) -> Interface:
        """Return inputs and outputs, and a request that is answered.

        `told` are inputs as a signature or the user has them. Raises Unusable `conversion.inputs`
        where they cannot be known.
        """
        raise NotImplementedError

    def exports(self, found: Interface) -> Iterator[Exported | str]:
        """Yield the result of each exporter in turn, or its own words where it fails."""
        raise NotImplementedError

    def cases(self, found: Interface) -> Iterator[tuple[str, Arrays]]:
        """Yield the requests that both models are asked, each with what it tries in words."""
        yield from cases(found, self.values())
        if self.example is not None:
            yield "the example", self.example

    def extremes(self, found: Interface) -> Iterator[tuple[str, Arrays]]:  # noqa: ARG002
        """Yield requests with values beyond any usual ones: they are reported, not judged."""
        yield from ()

    def values(self) -> Values:
        """Return values that the model accepts."""
        return Values(self.example)

    def judged(self, output: Tensor) -> str:
        """Return the datatype whose tolerance an output has: what the graph computes in."""
        return output.datatype

    def is_scores(self, output: Tensor) -> bool:  # noqa: ARG002
        """Return whether the largest value of a row may be read as its class."""
        return True

    def explained(
        self,
        request: Arrays,  # noqa: ARG002
        expected: Arrays,  # noqa: ARG002
        got: Arrays,
        tolerances: dict[str, float],  # noqa: ARG002
    ) -> NDArray[Any]:
        """Return which rows of a request are ties, all of them being further off than allowed.

        A tie is a row whose original answer is the converted one beside it, one step of its floats.
        """
        return np.zeros(len(next(iter(got.values()))), dtype=bool)
