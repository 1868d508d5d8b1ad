"""What a program of JAX tells without JAX: `jax.export.export(…)(…).serialize()`.

It is a FlatBuffers table (jax/_src/export/serialization.fbs) with the program as bytecode of MLIR
in one of its fields, which is the mark: FlatBuffers have none.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.formats.jax.flatbuffer import Malformed, Table

if TYPE_CHECKING:
    from pathlib import Path

BYTECODE = b"ML\xefR"
"""How bytecode of MLIR begins (https://mlir.llvm.org/docs/BytecodeFormat)."""
_SERIALIZATION, _NAME, _DEVICES_SHORT, _PLATFORMS = 0, 1, 6, 9
_MODULE, _CONVENTION, _DEVICES, _JAX = 13, 14, 18, 26
"""The numbers of fields of the table Exported."""
_SMALLEST = 64


@dataclass(frozen=True, slots=True)
class Exported:
    """The program, and what it was exported for."""

    name: str
    """The name of its function."""
    platforms: tuple[str, ...]
    """`cpu`, `cuda`, `tpu` …"""
    devices: int
    """How many devices it runs on together."""
    serialization: int
    """The version of the table."""
    convention: int
    """The version of its calling convention."""
    jax: str | None
    """The release of JAX that wrote it; only later ones say so."""


def exported(path: Path) -> Exported | None:
    """Return what a file tells; None if it is no program that JAX exported."""
    try:
        if not path.is_file() or path.stat().st_size < _SMALLEST:
            return None
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse(data)
    except OSError:
        return None


def parse(data: mmap.mmap | bytes) -> Exported | None:
    """Return what the bytes of a file tell; None if they are no program that JAX exported."""
    try:
        table = Table(data)
        module = table.text(_MODULE)
        if module is None or not module.startswith(BYTECODE):
            return None
        release = table.text(_JAX)
        return Exported(
            name=(table.text(_NAME) or b"").decode(),
            platforms=tuple(each.decode() for each in table.strings(_PLATFORMS)),
            devices=table.number(_DEVICES, "<I") or table.number(_DEVICES_SHORT, "<H"),
            serialization=table.number(_SERIALIZATION, "<H"),
            convention=table.number(_CONVENTION, "<H"),
            jax=release.decode() if release else None,
        )
    except (Malformed, UnicodeDecodeError):
        return None
