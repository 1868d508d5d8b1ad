"""The weights of one model for several libraries, in one folder, by the names that they are given.

Repositories hold the same weights for transformers and as ONNX, those often in several precisions.
Names are those of transformers (`transformers.utils`: SAFE_WEIGHTS_NAME, WEIGHTS_NAME and their
indexes), optimum, sentence-transformers and transformers.js.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.lookalikes import visible

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

NAMES = ("model.safetensors", "pytorch_model.bin")
"""Weights that transformers reads, the better first."""
INDEX = ".index.json"
"""The end of the name of an index, which names the shards of weights."""
CONFIGURATION = "config.json"
MODULES = "modules.json"
"""The list of modules of sentence-transformers, of which an export to ONNX is the first alone."""
LEFTOVERS = frozenset({
    "training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt",
    "rng_state.pth",
})  # fmt: skip
"""What a training leaves beside its model."""
_WEIGHTS = re.compile(r"([^/]+\.safetensors|pytorch_model[^/]*\.bin)(\.index\.json)?")
_SHARD = re.compile(r"(?P<before>.+)-\d{5}-of-\d{5}(?P<after>\.\w+)")
_ONNX = re.compile(r"(onnx/)?[^/]+\.onnx", re.IGNORECASE)
_PLAIN = ("onnx/model.onnx", "model.onnx")
_REDUCED = re.compile(
    r"(^|[_.-])(q?u?int[48]|b?f(p|loat)?16|half|bnb4|nf4|q[248](f16)?|quant(i[sz]ed)?|o4)([_.-]|$)",
    re.IGNORECASE,
)
"""Words for a lower precision; optimum's level O4 computes in FP16."""


def listed(folder: Path) -> frozenset[str]:
    """Return the names at the top of a folder, and the paths of those in its folder `onnx`."""
    return visible(folder) | {f"onnx/{name}" for name in visible(folder / "onnx")}


def exports(paths: Collection[str]) -> list[str]:
    """Return the ONNX files at the top and in the folder `onnx`, in order."""
    return sorted(path for path in paths if _ONNX.fullmatch(path))


def export(paths: Collection[str]) -> str | None:
    """Return the export to ONNX in full precision: the plain one, or the only one of another name.

    None if there is none, or if several are parts of one model.
    """
    for path in _PLAIN:
        if path in paths:
            return path
    full = [path for path in exports(paths) if not _REDUCED.search(PurePosixPath(path).stem)]
    return full[0] if len(full) == 1 else None


def own_weights(paths: Collection[str]) -> str | None:
    """Return the weights that transformers reads at the top, or their index; None without any."""
    every = (each for name in NAMES for each in (name, f"{name}{INDEX}"))
    return next((name for name in every if name in paths), None)


def is_exported(paths: Collection[str]) -> bool:
    """Return whether an export to ONNX is what a folder is served from.

    Weights of transformers come first where an export is only of lower precision, or of the network
    of sentence-transformers alone.
    """
    whole = export(paths) is not None and MODULES not in paths
    return bool(exports(paths)) and (whole or own_weights(paths) is None)


def is_weights(name: str) -> bool:
    """Return whether a file at the top is named like weights of transformers, or their index."""
    return _WEIGHTS.fullmatch(name) is not None


def index_of(name: str) -> str:
    """Return the name of the index of some weights: of a whole, of a shard, or the index itself."""
    if name.endswith(INDEX):
        return name
    shard = _SHARD.fullmatch(name)
    return (f"{shard['before']}{shard['after']}" if shard else name) + INDEX


def usual(name: str) -> str:
    """Return the name that libraries look for, of weights of this kind."""
    return NAMES[0] if ".safetensors" in name else NAMES[1]


def alternative(paths: Collection[str], taken: ModelFormat) -> str | None:
    """Return the other weights that could be served in place of those that were taken.

    Beside ONNX they are those of transformers, beside these the first export of lower precision.
    """
    if taken is ModelFormat.ONNX and CONFIGURATION in paths:
        return own_weights(paths)
    if taken is ModelFormat.TRANSFORMERS:
        return next(iter(exports(paths)), None)
    return None
