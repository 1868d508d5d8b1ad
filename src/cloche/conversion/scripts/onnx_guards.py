"""Nodes by which a graph refuses what the original refuses.

ONNX has no operator that raises. `Gather` does, where its index is beyond the data: the index is 1
where a value is not allowed, and the data has one element. ONNX Runtime's error names the node, so
its name says what is wrong. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable


class Guarded:
    """Nodes and initialisers that are put before a graph."""

    def __init__(self) -> None:
        """Begin empty."""
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._zeros: list[str] = []
        self._right: dict[int, str] = {}

    def constant(self, name: str, values: Any) -> str:
        """Return the name of an initialiser."""
        if not any(each.name == name for each in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the name of that."""
        domain = attributes.pop("domain", "")
        name = attributes.pop("name", output)
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=name, domain=domain, **attributes)
        )
        return output

    def refuse(self, wrong: str, tensor: str, words: str) -> None:
        """Refuse a request where any element of a BOOL tensor, of rows and columns, is true."""
        number = self.node("Cast", [wrong], f"guard/{tensor}/{words}/number", to=TensorProto.INT64)
        data = self.constant("guard/zero", np.zeros(1, np.int64))
        name = f"{tensor}_has_{words}"
        self._zeros.append(
            self.node("Gather", [data, number], f"guard/{tensor}/{words}/zero", name=name)
        )

    def missing(self, tensor: str) -> None:
        """Refuse NaN in a tensor of floats."""
        self.refuse(self.node("IsNaN", [tensor], f"guard/{tensor}/nan"), tensor, "missing_values")

    def infinite(self, tensor: str) -> None:
        """Refuse infinities in a tensor of floats."""
        self.refuse(self.node("IsInf", [tensor], f"guard/{tensor}/inf"), tensor, "infinities")

    def unknown(self, tensor: str, known: Iterable[Any]) -> None:
        """Refuse values of a text or whole-number tensor that are none of the known ones."""
        keys = list(known)
        kind = "strings" if isinstance(keys[0], str) else "int64s"
        index = self.node(
            "LabelEncoder", [tensor], f"guard/{tensor}/known", domain="ai.onnx.ml", default_int64=1,
            values_int64s=[0] * len(keys), **{f"keys_{kind}": keys},
        )  # fmt: skip
        wrong = self.node("Cast", [index], f"guard/{tensor}/unknown", to=TensorProto.BOOL)
        self.refuse(wrong, tensor, "unknown_categories")

    def tie(self, tensor: str, output: str, *, rank: int) -> str:
        """Return a tensor that depends on the guards, row by row, and is the same.

        A node that nothing depends on would be left out, and one that looks at all rows would keep
        requests from being joined.
        """
        if not self._zeros:
            return tensor
        if not self._right:
            zeros = self._zeros[0]
            if len(self._zeros) > 1:
                zeros = self.node("Concat", self._zeros, "guard/zeros", axis=1)
            columns = self.constant("guard/columns", np.ones(1, np.int64))
            total = self.node("ReduceSum", [zeros, columns], "guard/total", keepdims=1)
            nothing = self.constant("guard/nothing", np.int64(0))
            right = self.node("Equal", [total, nothing], "guard/right")
            self._right = {2: right, 1: self.node("Squeeze", [right, columns], "guard/right_rows")}
        return self.node("Where", [self._right[rank], tensor, tensor], output)
