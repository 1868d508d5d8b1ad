"""The SavedModel format: a folder with saved_model.pb."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.folders import list_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.lookalikes import visible
from cloche.formats.one_file import WithoutMetadata
from cloche.formats.tensorflow.saved_model import GRAPH
from cloche.formats.variant import CONVERSION, LABELS, SIGNATURE, From, Served, Variant

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.store import Store

_PARTS = frozenset({
    GRAPH, "variables", "assets", "assets.extra", "fingerprint.pb", "keras_metadata.pb",
})  # fmt: skip
"""What tf.saved_model and Keras write."""
_CHECKPOINT = re.compile(r".*\.(index|meta|data-\d{5}-of-\d{5})")
_SAVE = "load it in TensorFlow and save the model: model.export(FOLDER), or tf.saved_model.save"


def _models_in(folder: Path) -> list[Path]:
    return sorted(folder / name for name in visible(folder) if (folder / name / GRAPH).is_file())


def _holds_models(path: Path, _: bytes) -> bool:
    return bool(_models_in(path))


def _is_tflite(_: Path, start: bytes) -> bool:
    return start[4:8] == b"TFL3"


def _is_checkpoint(path: Path, _: bytes) -> bool:
    names = visible(path) or {path.name}
    return any(_CHECKPOINT.fullmatch(name) for name in names)


LOOKALIKES = (
    Lookalike(
        "the graph of a SavedModel, not the whole model",
        lambda path: f"name its folder: {path.parent}", names=frozenset({GRAPH}),
    ),
    Lookalike(
        "a folder of SavedModels, not one itself",
        lambda path: f"name one: {_models_in(path)[-1]}", test=_holds_models, code="several",
    ),
    Lookalike(
        "a checkpoint of a training in TensorFlow: weights without the model", _SAVE,
        names=frozenset({"checkpoint"}), test=_is_checkpoint,
    ),
    Lookalike(
        "a TensorFlow Lite model, which Cloche does not serve",
        "convert it: python -m tf2onnx.convert --tflite FILE --output model.onnx --opset 18",
        suffixes=(".tflite",), test=_is_tflite,
    ),
    Lookalike(
        "a frozen graph of TensorFlow, which names no inputs and outputs",
        "convert it with the names of its tensors: python -m tf2onnx.convert --graphdef FILE"
        " --inputs NAME:0 --outputs NAME:0 --output model.onnx --opset 18",
        suffixes=(".pb", ".pbtxt"),
    ),
)  # fmt: skip


class TensorFlowFormat(WithoutMetadata):
    """SavedModels; implements `cloche.formats.Format`."""

    name = ModelFormat.TENSORFLOW
    entry = "."
    title = "SavedModels of TensorFlow"
    marked = True
    lookalikes: tuple[Lookalike, ...] = LOOKALIKES
    variants: tuple[Variant, ...] = (
        Variant(
            "tensorflow", "a SavedModel, also of Keras",
            "tf.saved_model.save(module, FOLDER, signatures=…), model.export(FOLDER)",
            (From.FOLDER, From.HUB), Served.CONVERTED, (SIGNATURE, LABELS, CONVERSION), "tf2onnx",
        ),
    )  # fmt: skip

    def detect(self, path: Path) -> bool:
        """Return whether a path is a folder with the graph of a SavedModel."""
        return path.is_dir() and (path / GRAPH).is_file()

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the files of the SavedModel; others in the folder stay."""
        files = list_files(path)
        own = {name: file for name, file in files.items() if name.partition("/")[0] in _PARTS}
        return ModelFiles(self.entry, own)

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a folder holds one model
    ) -> ModelFacts:
        """Return what the graph tells without being loaded."""
        from cloche.formats.tensorflow.inspection import inspect_folder

        return inspect_folder(snapshot, root, options)
