"""What a pickle's opcodes put on the stack, as far as a scan needs to know it.

Strings, integers, short byte strings and tuples stand for themselves, and dictionaries keep their
first text keys. What is certainly no text is OTHER; the rest, and what no longer fits in memory, is
UNKNOWN.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias


class Unknown(enum.Enum):
    """Values that are not kept."""

    UNKNOWN = enum.auto()
    OTHER = enum.auto()
    """A list, a set, a number with a fraction …"""


UNKNOWN = Unknown.UNKNOWN
OTHER = Unknown.OTHER


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the unpickler imports: `getattr(import_module(module), name)`."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the qualified name."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Instance:
    """What a call makes: of what, with which arguments, and what was set on it later."""

    of: Value
    arguments: Value
    state: Value = None
    built: int = 0
    """How often its state was set."""
    items: dict[str, Value] = field(default_factory=dict)


Value: TypeAlias = (
    "Unknown | Global | Instance | str | int | bytes | tuple[Value, ...] | dict[str, Value] | None"
)


def type_of(value: Value) -> str | None:
    """Return the name of a value's type, `dict` or `collections.OrderedDict`; None if unknown."""
    if isinstance(value, Instance):
        return str(value.of) if isinstance(value.of, Global) else None
    if isinstance(value, Unknown | Global):
        return None
    return type(value).__name__


def is_call_of(value: Value, qualified: str) -> bool:
    """Return whether a value is an instance made by calling the given name."""
    return (
        isinstance(value, Instance) and isinstance(value.of, Global) and str(value.of) == qualified
    )
