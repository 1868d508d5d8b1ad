"""The inputs that a user declares: how they are asked for, and compared. Syntax for Python 3.8."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from own_model import Unusable

if TYPE_CHECKING:
    from interface import Interface, Tensor

_PLAIN = re.compile(r"[A-Za-z_]\w*")


def ask(names: list[str], datatypes: list[str] | None = None) -> str:
    """Return how to tell the inputs that have these names, with a line to paste.

    `datatypes` are what is known of each.
    """
    plain = [name if _PLAIN.fullmatch(name) else json.dumps(name) for name in names or ["x"]]
    kinds = datatypes if datatypes and len(datatypes) == len(plain) else ["FP32"] * len(plain)
    inputs = ", ".join(
        f"{name}: {{shape: [batch, 16], datatype: {kind}}}"
        for name, kind in zip(plain, kinds)  # noqa: B905 - Python 3.8
    )
    return (
        f"Write them in cloche.yaml, with their own sizes and types: `inputs: {{{inputs}}}`. Or"
        " deploy with --example FILE, a request that the model answers, or log it with an"
        " input_example."
    )


def text(inputs: list[Tensor]) -> str:
    """Return `x FP32 [batch, 3, ?]`."""
    return ", ".join(
        "{} {} [{}]".format(
            tensor.name,
            tensor.datatype,
            ", ".join(
                str(size) if size >= 0 else tensor.symbols.get(axis, "?")
                for axis, size in enumerate(tensor.shape)
            ),
        )
        for tensor in inputs
    )


def require(found: Interface, declared: list[Tensor]) -> None:
    """Raise Unusable `conversion.inputs` where a model has other inputs than declared ones."""
    own = {tensor.name: tensor for tensor in found.inputs}
    if {each.name: _kind(each) for each in declared} != {n: _kind(t) for n, t in own.items()}:
        raise _other(found, declared)
    for tensor in declared:
        for axis, size in enumerate(tensor.shape):
            real = own[tensor.name].shape[axis]
            if size < 0 <= real:
                raise Unusable(
                    "conversion.inputs",
                    f"`inputs:` leaves {tensor.symbol(axis)} of {tensor.name} open, and the model"
                    f" answers {real} there and refuses another size.",
                    f"Write the size in its place: {real}, or the one that the model takes.",
                )
            if size != real:
                raise _other(found, declared)


def _kind(tensor: Tensor) -> tuple[str, int]:
    return tensor.datatype, len(tensor.shape)


def _other(found: Interface, declared: list[Tensor]) -> Unusable:
    return Unusable(
        "conversion.inputs",
        f"`inputs:` says {text(declared)}, and the model itself {text(found.inputs)}.",
        "Remove `inputs:` from cloche.yaml: the model tells them.",
    )
