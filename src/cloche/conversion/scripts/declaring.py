"""The inputs that a user declares: compared with the model's own. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interface import text_of
from own_model import Unusable

if TYPE_CHECKING:
    from interface import Interface, Tensor


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
        f"`inputs:` says {text_of(declared)}, and the model itself {text_of(found.inputs)}.",
        "Remove `inputs:` from cloche.yaml: the model tells them.",
    )
