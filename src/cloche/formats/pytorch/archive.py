"""What a file of PyTorch is, from the names in its archive and those that its pickle imports.

torch.save, torch.jit.save and torch.export.save all write a zip with one folder at its top: a state
dict or a module has `data.pkl`, a script has `code/` beside it, and an exported program has its
graph as JSON in `models/` (in older releases `serialized_exported_program.json`). Weights alone may
also be a file of safetensors. Nothing is unpickled here.
"""

from __future__ import annotations

import enum
import json
import re
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche import pickles
from cloche.formats import safetensors

if TYPE_CHECKING:
    from pathlib import Path

_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickled number that torch.save wrote first before 1.6 (torch.serialization)."""
_LARGEST_TEXT = 256 * 2**20
_OF_WEIGHTS = ("torch.", "collections.OrderedDict")
"""How names begin that are PyTorch's own: in a state dict there are no others."""
_MODULES = "torch.nn.modules."
_COLLECTIONS = frozenset({"dict", "collections.OrderedDict", "collections.defaultdict"})
_PLAIN = frozenset({"tuple", "str", "int", "bytes", "NoneType"})
"""Types that are no module."""
_REBUILDING = frozenset({"copyreg", "copy_reg"})
"""What old protocols of pickle make an object of any class with."""
_HARMLESS = frozenset({
    "argparse.Namespace", "_codecs.encode", "numpy.dtype", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
})  # fmt: skip
"""What checkpoints of training hold beside weights, and `pytorch_weights.py` lets through."""
_TENSORS = ("torch._utils._rebuild_", "torch._tensor.", "torch.nn.parameter.")
_SHOWN = 6
_OPERATOR = re.compile(rb"\bops\.([A-Za-z_]\w*)\.")
_OF_TORCH = frozenset({b"aten", b"prim", b"quantized", b"prepacked", b"profiler"})
"""Namespaces of PyTorch's own operators."""


class Kind(enum.StrEnum):
    """What a file of PyTorch holds."""

    TORCHSCRIPT = "torchscript"
    EXPORTED = "exported"
    MODULE = "module"
    STATE_DICT = "state_dict"
    SAFETENSORS = "safetensors"
    """Weights alone, in the format of that name."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the archive tells without loading it."""

    kind: Kind
    torch: str | None = None
    """The release that wrote it, where it says so."""
    classes: tuple[str, ...] = ()
    """What the pickle of a module names, other than PyTorch's own."""
    main: tuple[str, ...] = ()
    """What it names of the script or notebook that wrote it."""
    other: str | None = None
    """What it holds in place of a module or its weights, if it is neither: `a dict`."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """What the names in a file tell; the kind is None for a pickle, whose own names tell more."""

    kind: Kind | None
    program: str | None = None
    """The member with the graph of an exported program."""


def is_one(path: Path) -> bool:
    """Return whether PyTorch wrote a file, or it is safetensors; nothing else in it is read."""
    try:
        return _marks(path) is not None or is_safetensors(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return False


def is_safetensors(path: Path) -> bool:
    """Return whether a file is a whole one of safetensors."""
    try:
        safetensors.elements(path)
    except safetensors.DamagedFileError:
        return False
    return True


def contents(path: Path) -> Contents | None:
    """Return what a file holds; None if PyTorch did not write it."""
    try:
        if is_safetensors(path):
            return Contents(Kind.SAFETENSORS)
        marks = _marks(path)
        if marks is None:
            return None
        if marks.kind is None:
            return _of_pickles(path)
        if marks.kind is Kind.TORCHSCRIPT:
            return Contents(marks.kind, classes=_operators(path))
        return _of_program(path, marks.program) if marks.program else None
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return None


def _marks(path: Path) -> _Marks | None:
    with path.open("rb") as file:
        start = file.read(len(_LEGACY_MAGIC))
    if start == _LEGACY_MAGIC:
        return _Marks(None)
    if not start.startswith(b"PK\x03\x04"):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    inner = {name.partition("/")[2] or name for name in names}
    programs = [name for name in names if _is_program(name)]
    if programs:
        return _Marks(Kind.EXPORTED, programs[0])
    if len(tops) != 1 or "data.pkl" not in inner:
        return None
    if any(name.startswith("code/") for name in inner):
        return _Marks(Kind.TORCHSCRIPT)
    return _Marks(None)


def _operators(path: Path) -> tuple[str, ...]:
    """Return the packages whose operators the code of a script calls (`ops.PACKAGE.name`)."""
    found: set[bytes] = set()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".py") and member.file_size <= _LARGEST_TEXT:
                found.update(_OPERATOR.findall(archive.read(member)))
    return tuple(sorted(name.decode() for name in found - _OF_TORCH))


def _is_program(name: str) -> bool:
    return name == "serialized_exported_program.json" or (
        "/models/" in f"/{name}" and name.endswith(".json")
    )


def _of_program(path: Path, program: str) -> Contents | None:
    """Return what an exported program is, with the release that it records; None without a graph.

    A graph that is too large to be read here is left to PyTorch.
    """
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(program).file_size > _LARGEST_TEXT:
            return Contents(Kind.EXPORTED)
        try:
            document: Any = json.loads(archive.read(program))
        except ValueError:
            return None
    if not isinstance(document, dict) or "graph_module" not in document:
        return None
    written = document.get("torch_version")
    return Contents(Kind.EXPORTED, written.partition("+")[0] if isinstance(written, str) else None)


def _of_pickles(path: Path) -> Contents:
    """Return whether a file has only tensors, or a module's classes."""
    found = pickles.scan(path)
    named = [name for name in found.names if not name.module.startswith("__torch__")]
    classes = sorted({str(name) for name in named if not str(name).startswith(_OF_WEIGHTS)})
    if not classes and not any(name.module.startswith(_MODULES) for name in named):
        return Contents(Kind.STATE_DICT, other=_no_weights(found))
    if found.made in _COLLECTIONS and found.torch is not None and _HARMLESS.issuperset(classes):
        return Contents(Kind.STATE_DICT)
    other = _named(found) if found.made in _COLLECTIONS | _PLAIN else _of_python(found.made)
    return Contents(Kind.MODULE, classes=tuple(classes), main=found.main, other=other)


def _no_weights(found: pickles.Scan) -> str | None:
    """Return what a file of tensors and plain values holds, if that is no dictionary of tensors."""
    if found.made in _PLAIN:
        return _named(found)
    if found.made is not None and found.made.startswith(_TENSORS):
        return "a tensor"
    if found.made in _COLLECTIONS and found.torch is None:
        return f"{_named(found)} without tensors"
    return None


def _of_python(made: str | None) -> str | None:
    """Return what a file holds that a function of Python itself makes: no module of PyTorch."""
    first = (made or "").partition(".")[0]
    is_pythons = first in sys.stdlib_module_names or first == "__builtin__"
    return f"what {made} returns" if is_pythons and first not in _REBUILDING else None


def _named(found: pickles.Scan) -> str:
    keys = found.torch.keys[:_SHOWN] if found.torch is not None else ()
    with_keys = f" with the keys {', '.join(keys)}" if keys else ""
    return f"a {(found.made or '').rpartition('.')[2]}{with_keys}"
