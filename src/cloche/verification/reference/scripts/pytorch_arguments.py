"""What a PyTorch model is called with: which inputs it needs, and how a call has them.

A module takes its arguments by name, a script in order; an exported program takes the nested
arguments that it was exported with, in which numbers are fixed (torch.export,
`ExportedProgram.call_spec`). Syntax for Python 3.8.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from own_model import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

_SCALARS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "bool": bool, "str": str}
"""Types of arguments that are no tensors, as TorchScript writes them."""
_LIST = "List[Tensor]"
"""A list of tensors, which are the items of one along its first axis."""


class Arguments:
    """The inputs of a module that takes tensors in order."""

    scalars: dict[str, Any] = {}  # noqa: RUF012 - of no instance

    def __init__(self, names: list[str]) -> None:
        """Take the names of its inputs."""
        self.names = names

    def given(self, values: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a call in their places, and those by name."""
        return values, {}


class _OfScript(Arguments):
    """Those of a script, which have types."""

    def __init__(self, kinds: dict[str, str]) -> None:
        super().__init__(list(kinds))
        self._kinds = kinds
        self.scalars = {name: _SCALARS[kind] for name, kind in kinds.items() if kind in _SCALARS}

    def given(self, values: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        given = [
            self._converted(name, value)
            for name, value in zip(self.names, values)  # noqa: B905 - Python 3.8
        ]
        return [*given, *values[len(given) :]], {}

    def _converted(self, name: str, value: Any) -> Any:
        if self._kinds[name] == _LIST:
            return list(value)
        if name not in self.scalars:
            return value
        elements = np.asarray(value).ravel().tolist()
        if len(elements) != 1:
            raise ValueError(f"{name} is one value, and {len(elements)} were given")
        one = elements[0]
        return one.decode("utf-8") if isinstance(one, bytes) else self.scalars[name](one)


class _OfProgram(Arguments):
    """Those of an exported program, with the constants among them."""

    def __init__(self, program: Any) -> None:
        signature = program.graph_signature
        self._flat = [
            (
                getattr(spec.arg, "name", ""),
                getattr(spec.arg, "value", None),
                hasattr(spec.arg, "value"),
            )
            for spec in signature.input_specs
            if spec.kind.name == "USER_INPUT"
        ]
        self._spec = program.call_spec.in_spec
        super().__init__([str(name) for name, _, is_fixed in self._flat if not is_fixed])

    def given(self, values: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        from torch.utils import _pytree

        left = iter(values)
        flat = [value if is_fixed else next(left) for _, value, is_fixed in self._flat]
        places, names = _pytree.tree_unflatten(flat, self._spec)
        return list(places), names


def of(module: Any, program: Any) -> Arguments:
    """Return what a module, a script or an exported program is called with.

    Raises Unusable `conversion.arguments` for an argument that no tensor of a request can be.
    """
    if program is not None:
        return _OfProgram(program)
    if isinstance(module, torch.jit.ScriptModule):
        return _OfScript(_kinds(module))
    return Arguments(
        [
            parameter.name
            for parameter in inspect.signature(module.forward).parameters.values()
            if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
            and parameter.default is parameter.empty
        ]
    )


def _kinds(module: Any) -> dict[str, str]:
    """Return the types of the arguments that a script needs."""
    arguments = module.forward.schema.arguments[1:]
    kinds = {arg.name: str(arg.type) for arg in arguments if not arg.has_default_value()}
    for name, kind in kinds.items():
        if kind not in _SCALARS and kind not in {"Tensor", "Optional[Tensor]", _LIST}:
            raise Unusable(
                "conversion.arguments",
                f"Its argument {name} is a {kind}, which no request can give.",
                "Wrap it in a module whose forward takes tensors, and save a script of that.",
            )
    return kinds
