"""Programs of JAX: their interface; nothing converts StableHLO to ONNX. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import interface
import jax
import numpy as np
from converting import Converting, Exported
from interface import Interface, Tensor, datatype_of
from own_model import Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jax_model import JaxModel


class Conversion(Converting):
    """One program, whose shapes tell its inputs."""

    model: JaxModel

    def framework(self) -> str:
        """Return JAX with its release."""
        return f"jax {jax.__version__}"

    def tells(self) -> bool:
        """Return that it does: a program has the shapes that it was exported for."""
        return True

    def interface(self, told: list[dict[str, Any]] | None) -> Interface:  # noqa: ARG002
        """Return the inputs that the program was exported for, proven by calling it."""
        inputs = []
        for name, aval in self.model.inputs.items():
            try:
                datatype = datatype_of(np.empty(0, aval.dtype))
            except (TypeError, Unusable):
                raise Unusable(
                    "conversion.inputs",
                    f"The program takes {aval.dtype} values as {name}, which no request can hold.",
                    "Export a function that takes floats or integers, and convert within it.",
                ) from None
            shape = [size if isinstance(size, int) else -1 for size in aval.shape]
            inputs.append(Tensor(name, datatype, shape))
        names = [tensor.name for tensor in inputs]
        return interface.answered(self.model.call, names, [inputs], self.example, self.values())

    def exports(self, found: Interface) -> Iterator[Exported | str]:  # noqa: ARG002
        """Yield why there is none."""
        yield "nothing converts StableHLO to ONNX"
