"""Requests by which the answers of a model and of its conversion are compared.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interface import sizes_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interface import Interface, Tensor, Values
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

_BATCHES = (1, 2, 5)
_OTHERS = 2
"""Requests with other values than the sample's."""


def cases(interface: Interface, values: Values) -> Iterator[tuple[str, Arrays]]:
    """Yield requests, each with what it tries: other values, batches, sizes of each open axis."""
    yield "the sample", interface.sample
    for seed in range(2, 2 + _OTHERS):
        yield "other values", _resized(interface, values, {}, seed)
    first = {tensor.open().get(0) for tensor in interface.inputs}
    for seed, rows in enumerate(_BATCHES if None not in first else (), 2 + _OTHERS):
        sizes = dict.fromkeys(filter(None, first), rows)
        yield f"a batch of {rows}", _resized(interface, values, sizes, seed)
    for symbol in interface.symbols():
        if symbol in first:
            continue
        usual = max(_sizes_of(interface, symbol))
        for seed, size in enumerate((max(usual, 2), 3 * max(usual, 2)), 9):
            yield f"{size} along {symbol}", _resized(interface, values, {symbol: size}, seed)


def _sizes_of(interface: Interface, symbol: str) -> list[int]:
    """Return the sizes that the sample has along an axis."""
    return [
        interface.sample[tensor.name].shape[axis]
        for tensor in interface.inputs
        for axis, name in tensor.open().items()
        if name == symbol
    ]


def _resized(interface: Interface, values: Values, sizes: dict[str, int], seed: int) -> Arrays:
    def of(tensor: Tensor) -> Array:
        shape = dict(enumerate(interface.sample[tensor.name].shape))
        return values.of(tensor, {**shape, **sizes_at(tensor, sizes)}, seed=seed)

    return {tensor.name: of(tensor) for tensor in interface.inputs}
