"""The Python whose bytecode a pickle carries: cloudpickle writes functions as code objects.

A code object is a call of `types.CodeType` with 16 arguments up to Python 3.10 and 18 from 3.11 on
(PyCode_New in CPython's Objects/codeobject.c). Its bytecode, two bytes a step, tells more: the
numbers of RESUME, PRECALL and others changed between versions (opcode.opmap of each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.pickles.values import Global, Instance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.pickles.values import Value

_CODE_TYPES = {
    "cloudpickle.cloudpickle._builtin_type", "cloudpickle.cloudpickle_fast._builtin_type",
}  # fmt: skip
_BYTECODE = 6
"""The position of the bytecode among the arguments, in all of these versions."""
_RESUME = {149: ("3.13",), 128: ("3.14",)}
_RESUME_3_11 = 151
_PRECALL = 166
_AFTER_3_11 = {121, 143}
"""RETURN_CONST and LOAD_FAST_AND_CLEAR, which came with Python 3.12."""
_CALL = 171


def pythons_of(calls: Iterable[Instance]) -> set[tuple[str, ...]]:
    """Return the versions that may have written each code object among some calls."""
    return {versions for call in calls if (versions := _versions(call))}


def _versions(call: Instance) -> tuple[str, ...]:
    made = call.of
    if not isinstance(made, Instance) or made.arguments != ("CodeType",):
        return ()
    if not isinstance(made.of, Global) or str(made.of) not in _CODE_TYPES:
        return ()
    if not isinstance(call.arguments, tuple):
        return ()
    match len(call.arguments):
        case 16:
            return ("3.8", "3.9", "3.10")
        case 18:
            return _by_bytecode(call.arguments[_BYTECODE])
    return ()


def _by_bytecode(code: Value) -> tuple[str, ...]:
    if not isinstance(code, bytes):
        return ()
    steps = set(code[::2])
    if _RESUME_3_11 in steps:
        if _PRECALL in steps:
            return ("3.11",)
        return ("3.12",) if steps & _AFTER_3_11 or _CALL in steps else ("3.11", "3.12")
    return next((versions for number, versions in _RESUME.items() if number in code[:8:2]), ())
