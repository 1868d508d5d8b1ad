"""What a file of Keras is: `.keras` is a zip with JSON and weights, and HDF5 has JSON within.

A folder with the files of that zip is what the Hub keeps (keras.saving.save_model to `hf://`).
"""

from __future__ import annotations

import json
import mmap
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.formats.keras import hdf5

if TYPE_CHECKING:
    from pathlib import Path

CONFIG, METADATA = "config.json", "metadata.json"
_WEIGHTS = ("model.weights.h5", "model.weights.json", "model.weights.npz")
_ZIP = b"PK\x03\x04"
_LARGEST_TEXT = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file or folder tells without Keras."""

    kind: str
    """`keras`, `folder` or `hdf5`"""
    version: str | None
    """The release of Keras that wrote it."""


def contents(path: Path) -> Contents | None:
    """Return what a file or folder is; None if it is no whole model of Keras."""
    try:
        if path.is_dir():
            return _of_folder(path)
        with path.open("rb") as file:
            start = file.read(len(hdf5.MAGIC))
        if start.startswith(_ZIP):
            with zipfile.ZipFile(path) as archive:
                return _of_archive(archive)
        return _of_hdf5(path) if start == hdf5.MAGIC else None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None


def _of_archive(archive: zipfile.ZipFile) -> Contents | None:
    names = set(archive.namelist())
    if CONFIG not in names or METADATA not in names:
        return None
    if archive.getinfo(METADATA).file_size > _LARGEST_TEXT:
        return None
    return _described("keras", archive.read(METADATA))


def _of_folder(folder: Path) -> Contents | None:
    files = (folder / CONFIG, folder / METADATA)
    if not all(file.is_file() for file in files):
        return None
    if not any((folder / name).is_file() for name in _WEIGHTS):
        return None
    return _described("folder", (folder / METADATA).read_bytes())


def _described(kind: str, metadata: bytes) -> Contents | None:
    try:
        document: Any = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    version = document.get("keras_version") if isinstance(document, dict) else None
    return Contents(kind, version) if isinstance(version, str) else None


def _of_hdf5(path: Path) -> Contents | None:
    """Return the model in HDF5; one without `model_config` has weights alone."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        config = hdf5.attribute(data, "model_config")
        if config is None or not config.lstrip().startswith(b"{"):
            return None
        version = hdf5.attribute(data, "keras_version")
    return Contents("hdf5", version.decode("utf-8", "replace") if version else None)
