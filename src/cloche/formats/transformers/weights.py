"""The files of weights in a folder: safetensors before PyTorch's own, whole or in shards."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.formats import safetensors
from cloche.formats.weight_files import INDEX, NAMES, index_of, usual

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 1024
"""Bytes; the specification of Git LFS allows no longer pointer."""


def find(
    files: Mapping[str, Path], folder: str, where: str, wanted: str | None = None
) -> dict[str, Path]:
    """Return the weights in a folder (`""` for the top), and their index; empty without any.

    They have the names that transformers looks for. `wanted` is the file or the index that a user
    named. Raises ClocheError `source.transformers.shard`, .index.
    """
    place = PurePosixPath(folder)
    for name in NAMES if wanted is None else (wanted,):
        path, index = str(place / name), str(place / index_of(name))
        if path in files and (index == f"{path}{INDEX}" or index not in files):
            return {str(place / usual(name)): files[path]}
        if index in files:
            shards = [str(place / shard) for shard in _shards(files[index], index, where)]
            missing = [shard for shard in shards if shard not in files]
            if missing:
                raise _incomplete(missing, index, where)
            at = str(place / f"{usual(name)}{INDEX}")
            return {at: files[index], **{shard: files[shard] for shard in shards}}
    return {}


def _incomplete(missing: list[str], index: str, where: str) -> ClocheError:
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    return ClocheError(
        "source.transformers.shard",
        f"The weights are incomplete: {missing[0]}{more}, which {index} names, is not in the"
        " folder.",
        where=where,
        hint="Copy or download all shards of the model.",
    )


def _shards(index: Path, name: str, where: str) -> list[str]:
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        plain = all(PurePosixPath(shard).name == shard for shard in shards)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        plain = False
    if not plain or not shards:
        raise ClocheError(
            "source.transformers.index",
            f"{name} is not an index of shards: it has no `weight_map` of names of files.",
            where=where,
            hint="Save the model again with save_pretrained, or download the file again.",
        )
    return shards


def elements(paths: Mapping[str, Path], where: str) -> Counter[str]:
    """Return how many elements of each dtype the weights have, as far as headers tell.

    Raises ClocheError `source.transformers.lfs`, .safetensors for a file that is not whole.
    """
    counted: Counter[str] = Counter()
    for name, path in paths.items():
        if path.stat().st_size <= _LONGEST_POINTER and path.read_bytes().startswith(_POINTER):
            raise ClocheError(
                "source.transformers.lfs",
                f"{name} is a Git LFS pointer; the file itself has not been fetched.",
                where=where,
                hint="Run `git lfs pull` in its folder.",
            )
        if not name.endswith(".safetensors"):
            continue
        try:
            counted += safetensors.elements(path)
        except safetensors.DamagedFileError as fault:
            raise ClocheError(
                "source.transformers.safetensors",
                f"{name} is not a whole file of safetensors: {fault}.",
                where=where,
                hint="Save, copy or download it again.",
            ) from None
    return counted
