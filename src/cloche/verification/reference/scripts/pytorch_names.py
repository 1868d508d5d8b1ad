"""The names of tensors by the rules of Triton's backend for libtorch.

Inputs are called as the arguments of `forward`; or `NAME__INDEX` by their place; or anything, in
the order of the configuration. Outputs are called `NAME__INDEX`. Source: "Important Note" in the
README of triton-inference-server/pytorch_backend. Syntax for Python 3.8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from own_model import Unusable, in_dims

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

_PLACED = re.compile(r".*__(\d+)")


class Names:
    """The tensors of a configuration, in its order: `name`, `dims` and `reshape` of each."""

    def __init__(self, how: dict[str, Any]) -> None:
        """Take the configuration's `inputs` and `outputs`, and whether it is `batched`.

        Raises Unusable `conversion.names` for an output without a place.
        """
        self._batched: bool = how["batched"]
        self._inputs, self._outputs = how["inputs"], how["outputs"]
        self._places: dict[str, int] = {}
        for index, entry in enumerate(self._outputs):
            placed = _PLACED.fullmatch(entry["name"])
            if placed is None:
                raise Unusable(
                    "conversion.names",
                    f"The output {entry['name']} is not called NAME__INDEX, as libtorch's are.",
                    f"Call it {entry['name']}__{index} in config.pbtxt.",
                )
            self._places[entry["name"]] = int(placed[1])

    def in_order(self, arrays: Arrays, parameters: list[str]) -> Arrays:
        """Return the arrays of a request in the order and the shapes of `forward`."""
        shapes = {entry["name"]: entry.get("reshape") for entry in self._inputs}
        names = [name for name in shapes if name in arrays]
        places = {name: _PLACED.fullmatch(name) for name in names}
        if set(names) <= set(parameters):
            names.sort(key=parameters.index)
        elif all(places.values()):
            names.sort(key=lambda name: int(places[name][1]))  # type: ignore[index]
        return {name: self._inner(arrays[name], shapes[name]) for name in names}

    def _inner(self, array: Any, shape: dict[str, list[int]] | None) -> Any:
        """Return an array as `reshape` says that the model takes it."""
        return array if shape is None else in_dims(array, shape["shape"], batched=self._batched)

    def named(self, outputs: Arrays) -> Arrays:
        """Return the tensors of an answer under their names, in their shapes."""
        values = list(outputs.values())
        last = max(self._places, key=self._places.__getitem__)
        if self._places[last] >= len(values):
            raise Unusable(
                "conversion.names",
                f"The model answers with {len(values)} tensors, and config.pbtxt names {last}.",
                "Name its outputs from NAME__0 on.",
            )
        return {
            entry["name"]: in_dims(
                values[self._places[entry["name"]]], entry["dims"], batched=self._batched
            )
            for entry in self._outputs
        }
