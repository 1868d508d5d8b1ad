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
        """Refuse a request where any element of a BOOL tensor is true."""
        prefix = f"{tensor}_{words}"
        number = self.node("Cast", [wrong], f"{prefix}_number", to=TensorProto.INT64)
        most = self.node("ReduceMax", [number], f"{prefix}_any", keepdims=0)
        data = self.constant("guard_zero", np.zeros(1, np.int64))
        sentence = f"{tensor}_has_{words}"
        self._zeros.append(self.node("Gather", [data, most], f"{prefix}_zero", name=sentence))

    def missing(self, tensor: str) -> None:
        """Refuse NaN in a tensor of floats."""
        self.refuse(self.node("IsNaN", [tensor], f"{tensor}_nan"), tensor, "missing_values")

    def infinite(self, tensor: str) -> None:
        """Refuse infinities in a tensor of floats."""
        self.refuse(self.node("IsInf", [tensor], f"{tensor}_inf"), tensor, "infinities")

    def unknown(self, tensor: str, known: Iterable[Any]) -> None:
        """Refuse values of a text or whole-number tensor that are none of the known ones."""
        keys = list(known)
        kind = "strings" if isinstance(keys[0], str) else "int64s"
        index = self.node(
            "LabelEncoder", [tensor], f"{tensor}_known", domain="ai.onnx.ml", default_int64=1,
            values_int64s=[0] * len(keys), **{f"keys_{kind}": keys},
        )  # fmt: skip
        wrong = self.node("Cast", [index], f"{tensor}_unknown", to=TensorProto.BOOL)
        self.refuse(wrong, tensor, "unknown_categories")

    def tie(self, tensor: str, output: str, *, prefix: str) -> None:
        """Make a tensor depend on the guards, without changing it, under another name.

        A node that nothing depends on would be left out. Its shape is taken plus their zeros.
        """
        shape = self.node("Shape", [tensor], f"{prefix}/tied")
        for index, zero in enumerate(self._zeros):
            shape = self.node("Add", [shape, zero], f"{prefix}/tied_{index}")
        self.node("Reshape", [tensor, shape], output, name=f"{prefix}/out")
