"""Pickles that call something, written by hand: nothing here is ever loaded."""

from __future__ import annotations

import importlib
import os
import pickle
import pydoc
from pathlib import Path
from typing import Any

from cloche.pickles import Scan, scan


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


SYSTEM = f"{os.system.__module__}.system"
EVIL = pickle.dumps(Call(os.system, "true"))
CALLS = {
    "system": (Call(os.system, "true"), SYSTEM),
    "eval": (Call(eval, "1"), "builtins.eval"),
    "import_module": (Call(importlib.import_module, "this"), "importlib.import_module"),
    "locate": (Call(pydoc.locate, "os.system"), "pydoc.locate"),
    "getattr": (Call(getattr, "", "join"), "builtins.getattr"),
    "nested": (Call(pickle.loads, EVIL), "pickle.loads"),
}  # fmt: skip
"""Stealthy and plain calls, and the name that each has to import."""


def short(text: str) -> bytes:
    """Return the opcode that pushes a short text."""
    data = text.encode()
    return pickle.SHORT_BINUNICODE + bytes([len(data)]) + data


def scanned(folder: Path, data: bytes, name: str = "model.pkl") -> Scan:
    """Scan bytes as a file of the given name."""
    path = folder / name
    path.write_bytes(data)
    return scan(path)


def outside(scanned: Scan) -> set[str]:
    """Return the qualified names that are not allowed, as Python 3 and without accelerators."""
    modules = {"__builtin__": "builtins", "_pickle": "pickle"}
    return {f"{modules.get(name.module, name.module)}.{name.name}" for name in scanned.outside}


def codes(scanned: Scan) -> set[str]:
    """Return the codes of all findings."""
    return {finding.code for finding in scanned.findings}
