"""The Keras format: a file, an unpacked one, or a folder with one such file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.folders import list_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.keras.contents import CONFIG, METADATA, contents
from cloche.formats.keras.hdf5 import MAGIC
from cloche.formats.lookalikes import visible
from cloche.formats.one_file import WithoutMetadata
from cloche.formats.variant import CONVERSION, LABELS, TRUST, From, Served, Variant

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.store import Store

_ENTRIES = {"keras": "model.keras", "hdf5": "model.h5"}
"""Keras tells its files apart by their suffix."""
_SUFFIXES = (".keras", ".h5", ".hdf5")

_KEYS = (TRUST, LABELS, CONVERSION)
_KERAS = Variant(
    "keras", "a whole model of Keras 3, also unpacked", "model.save('model.keras')",
    (From.FILE, From.FOLDER, From.HUB), Served.CONVERTED, _KEYS, "tf2onnx",
)  # fmt: skip
_HDF5 = Variant(
    "keras-hdf5", "a whole model of Keras in HDF5", "model.save('model.h5')",
    (From.FILE, From.HUB), Served.CONVERTED, _KEYS, "tf2onnx",
)  # fmt: skip

LOOKALIKES = (
    Lookalike(
        "HDF5 without a model: weights of Keras alone, or data",
        "load the weights into the model and save it whole: model.load_weights(FILE), then"
        " model.save('model.keras')",
        starts=(MAGIC,),
    ),
    Lookalike(
        "a file that is named like one of Keras, but nothing that Keras saves",
        "save the model again: model.save('model.keras')", suffixes=(".keras",),
    ),
)  # fmt: skip


class KerasFormat(WithoutMetadata):
    """Models of Keras; implements `cloche.formats.Format`."""

    name = ModelFormat.KERAS
    entry = _ENTRIES["keras"]
    title = "models of Keras"
    marked = True
    lookalikes: tuple[Lookalike, ...] = LOOKALIKES
    variants: tuple[Variant, ...] = (_KERAS, _HDF5)

    def detect(self, path: Path) -> bool:
        """Return whether a path is a whole model of Keras, or a folder with just one."""
        return _model_at(path) is not None

    def variant(self, path: Path) -> Variant | None:
        """Return the variant by what the file is."""
        model = _model_at(path)
        held = contents(model) if model is not None else None
        if held is None:
            return None
        return _HDF5 if held.kind == "hdf5" else _KERAS

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the file under the name that Keras wants, or the files of an unpacked one."""
        model = _model_at(path)
        if model is None or model.is_dir():
            files = list_files(path)
            return ModelFiles(".", {name: files[name] for name in files if _is_part(name)})
        held = contents(model)
        entry = _ENTRIES[held.kind] if held is not None else self.entry
        return ModelFiles(entry, {entry: model})

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return what the file tells without being loaded."""
        from cloche.formats.keras.inspection import inspect_model

        return inspect_model(snapshot, root, options)


def _is_part(name: str) -> bool:
    """Return whether a file belongs to an unpacked model (keras.src.saving.saving_lib)."""
    top = name.partition("/")[0]
    return top in {CONFIG, METADATA, "assets"} or top.startswith("model.weights")


def _model_at(path: Path) -> Path | None:
    """Return the one model at a path: itself, or the only one in a folder without ONNX files."""
    if contents(path) is not None:
        return path
    names = visible(path)
    if any(name.endswith(".onnx") for name in names):
        return None
    inside = [path / name for name in sorted(names) if name.lower().endswith(_SUFFIXES)]
    whole = [each for each in inside if each.is_file() and contents(each) is not None]
    return whole[0] if len(whole) == 1 else None
