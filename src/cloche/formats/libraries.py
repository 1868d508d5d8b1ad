"""Folders of libraries that are not served, each known by a file that only it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Collection

_FUNCTION = "Log it with mlflow.pyfunc.log_model, which serves all of it as a Python function."

_EXPORTED = "Load it with keras_hub, and export it as a SavedModel: model.export(FOLDER)."


@dataclass(frozen=True, slots=True)
class _Library:
    title: str
    marks: tuple[str, ...]
    """Names at the top of a folder, all of which have to be there."""
    remedy: str


_LIBRARIES = (
    _Library(
        "SetFit (an encoder of sentence-transformers with a head of scikit-learn)",
        ("config_setfit.json",), _FUNCTION,
    ),
    _Library(
        "GLiNER", ("gliner_config.json",),
        "Export it: model.export_to_onnx(FOLDER) of gliner, and deploy the ONNX file.",
    ),
    _Library(
        "OpenCLIP (an encoder of pictures and one of text)", ("open_clip_config.json",),
        "Export the encoder that you need to ONNX, with torch.onnx.export, and deploy the file.",
    ),
    _Library("KerasHub", ("model.weights.h5", "task.json"), _EXPORTED),
    _Library("KerasHub", ("model.weights.h5", "tokenizer.json"), _EXPORTED),
    _Library("spaCy", ("config.cfg", "meta.json"), "Log it with mlflow.spacy.log_model."),
    _Library("Flair", ("training.log", "loss.tsv"), _FUNCTION),
    _Library("SpeechBrain", ("hyperparams.yaml",), _FUNCTION),
    _Library("ESPnet", ("meta.yaml", "exp"), _FUNCTION),
)  # fmt: skip


def refusals() -> tuple[ClocheError, ...]:
    """Return the refusals of all libraries."""
    # One library may write one of several files.
    titles = {library.title: library for library in _LIBRARIES}
    return tuple(_refusal(library, "") for library in titles.values())


def refusal(names: Collection[str], where: str) -> ClocheError | None:
    """Return the refusal of a folder by the names at its top, None if they tell nothing."""
    for library in _LIBRARIES:
        if all(mark in names for mark in library.marks):
            return _refusal(library, where)
    return None


def _refusal(library: _Library, where: str) -> ClocheError:
    return ClocheError(
        "source.files.library",
        f"This is a model of {library.title}, which Cloche does not serve.",
        where=where,
        hint=library.remedy,
    )
