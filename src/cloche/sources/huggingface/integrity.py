"""What may be wrong with files that arrived as the hub lists them: someone uploaded them so."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.formats import safetensors
from cloche.sources.huggingface.weights import framework

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloche.artifacts import FileEntry
    from cloche.clients.huggingface.repository import RepositoryFile
    from cloche.store import Store

_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 1024
"""Bytes; the specification of Git LFS allows no longer pointer."""


def check(entries: Iterable[FileEntry], store: Store, where: str) -> None:
    """Raise source.huggingface.lfs or .safetensors for a stored file that is not what it should be.

    `where` is the pinned reference.
    """
    for entry in entries:
        if entry.size <= _LONGEST_POINTER and store.read(entry.digest).startswith(_POINTER):
            raise _pointer(entry.path, where)
        if entry.path.endswith(".safetensors"):
            fault = fault_of_safetensors(store.blob_path(entry.digest))
            if fault is not None:
                raise _damaged(entry.path, fault, where)


def may_be_pointer(file: RepositoryFile) -> bool:
    """Return whether a listed file of weights is as small as a Git LFS pointer, and a plain one."""
    small = file.size <= _LONGEST_POINTER and framework(file.path) is not None
    return small and not (file.digest or "").startswith("sha256:")


def shards_in(index: bytes, name: str, where: str) -> frozenset[str]:
    """Return the files that an index of shards names; raises source.huggingface.index."""
    try:
        shards = frozenset(json.loads(index)["weight_map"].values())
        plain = all(str(PurePosixPath(shard)) == shard and "/" not in shard for shard in shards)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        plain = False
    if not plain:
        raise ClocheError(
            "source.huggingface.index",
            f"{name} is not an index of shards: it has no `weight_map` of names of files.",
            where=where,
            hint="Save the model again with save_pretrained, or name another revision.",
        )
    return shards


def fault_of_safetensors(path: Path) -> str | None:
    """Return what is wrong with the header of a file of safetensors, None if nothing is."""
    try:
        safetensors.elements(path)
    except safetensors.DamagedFileError as fault:
        return str(fault)
    return None


def _pointer(path: str, where: str) -> ClocheError:
    return ClocheError(
        "source.huggingface.lfs",
        f"{path} is a Git LFS pointer, not the file: it was uploaded without its content.",
        where=where,
        hint="Upload the file itself (`git lfs push --all`, or `hf upload`), or name another"
        " revision.",
    )


def _damaged(path: str, fault: str, where: str) -> ClocheError:
    return ClocheError(
        "source.huggingface.safetensors",
        f"{path} is not a whole file of safetensors: {fault}.",
        where=where,
        hint="It is damaged in the repository: upload it again, or name another revision.",
    )
