"""`inputs` of cloche.yaml: what a model takes, where nothing else tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from cloche.artifacts import DeclaredInput
from cloche.spec.quantities import problem
from cloche.spec.sections import Section

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BYTES",
]  # fmt: skip
"""Those of the protocol that NumPy, and so a model's own framework, has."""
_MOST_AXES = 32
_SHORT = re.compile(r"(\w+)\s*\[([^\[\]]*)\]")
_AXIS = re.compile(r"[A-Za-z_]\w{0,63}")
_WRITE = "Write a size, or a name for an axis of any size, such as [batch, 3, 224, 224]."


def _axis(value: Any) -> int | str:
    """Return a size, -1 for any, or the name of an axis of any size."""
    if isinstance(value, str) and _AXIS.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and (value == -1 or value > 0):
        return value
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    raise problem(f"{shown} is no axis", _WRITE)


def _long(value: Any) -> Any:
    """Return `FP32 [batch, 3]` as keys; anything else unchanged."""
    short = _SHORT.fullmatch(value.strip()) if isinstance(value, str) else None
    if short is None:
        if isinstance(value, str):
            what = f"{value!r} is not a datatype with a shape"
            raise problem(what, "Write one like FP32 [batch, 3, 224, 224].")
        return value
    axes = [axis.strip() for axis in short[2].split(",")] if short[2].strip() else []
    sizes = [int(axis) if re.fullmatch(r"-?\d{1,18}", axis) else axis for axis in axes]
    return {"datatype": short[1], "shape": sizes}


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise problem("an input has a name", "Write the name that requests give it.")
    return value


class Input(Section):
    """One input of a model: its shape, with the axis of the batch in it, and its datatype."""

    shape: Annotated[
        tuple[Annotated[int | str, BeforeValidator(_axis)], ...], Field(max_length=_MOST_AXES)
    ]
    """Sizes, and names (or -1) for axes of any size, such as [batch, 3, 224, 224]; axes that are
    called alike have one size."""
    datatype: Datatype
    """Triton's name: FP32, INT64, BYTES (text) and so on."""

    @field_validator("shape", mode="before")
    @classmethod
    def _is_a_list(cls, shape: Any) -> Any:
        if not isinstance(shape, list | tuple):
            raise problem("a shape is a list", _WRITE)
        return shape

    def declared(self, name: str) -> DeclaredInput:
        """Return it as the artefact, under its name."""
        return DeclaredInput(name, self.datatype, self.shape)


class _OrShort:
    """Lets the schema for editors have the short form too."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        short = {"type": "string", "examples": ["FP32 [batch, 3, 224, 224]"]}
        return {"anyOf": [handler(core), short]}


Inputs = Annotated[
    dict[
        Annotated[str, BeforeValidator(_name)],
        Annotated[Input, BeforeValidator(_long), _OrShort()],
    ],
    Field(max_length=1000),
]


def text(declared: DeclaredInput) -> str:
    """Return `image FP32 [batch, 3, 224, 224]`."""
    axes = ", ".join("?" if axis == -1 else str(axis) for axis in declared.shape)
    return f"{declared.name} {declared.datatype} [{axes}]"
