"""The MLflow format: a folder with the file MLmodel."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat, ModelMetadata, decode, encode
from cloche.formats.folders import list_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.lookalikes import visible
from cloche.formats.mlflow.mlmodel import ENTRY, read_metadata
from cloche.formats.mlflow.variants import VARIANTS, of_flavors

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.formats.variant import Variant
    from cloche.store import Store

_REMEMBERED = "mlmodel-2"
"""Its number grows with what is read: metadata that lacks something would give other digests."""


def _models_in(folder: Path) -> list[Path]:
    return sorted(folder / name for name in visible(folder) if (folder / name / ENTRY).is_file())


def _holds_models(path: Path, _: bytes) -> bool:
    return bool(_models_in(path))


LOOKALIKES = (
    Lookalike(
        "the description of an MLflow model, not the model",
        lambda path: f"name its folder: {path.parent}", names=frozenset({ENTRY}),
    ),
    Lookalike(
        "a folder of MLflow models, not a model itself",
        lambda path: f"name one: {_models_in(path)[0]}", test=_holds_models, code="several",
    ),
    Lookalike(
        "a store of MLflow, not a model",
        lambda path: "set MLFLOW_TRACKING_URI to it and name the model: models:/NAME@ALIAS "
        f"({path})",
        names=frozenset({"mlruns", "mlartifacts", "mlflow.db", "meta.yaml"}),
    ),
)  # fmt: skip


class MlflowFormat:
    """Folders saved or logged by MLflow; implements `cloche.formats.Format`."""

    name = ModelFormat.MLFLOW
    entry = ENTRY
    title = "folders saved by MLflow"
    marked = True
    lookalikes: tuple[Lookalike, ...] = LOOKALIKES
    variants: tuple[Variant, ...] = VARIANTS

    def detect(self, path: Path) -> bool:
        """Return whether a path is a folder with MLmodel in it."""
        return ENTRY in visible(path)

    def variant(self, path: Path) -> Variant:
        """Return the variant by the flavors in MLmodel; raises ClocheError as `read_metadata`."""
        metadata = read_metadata(path)
        inputs = metadata.signature.inputs if metadata.signature is not None else ()
        of_text = any(each.datatype == "BYTES" for each in inputs)
        return of_flavors(metadata.flavors, visible(path / "data"), of_text=of_text)

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the whole folder."""
        return ModelFiles(ENTRY, list_files(path))

    def metadata(self, digest: str, store: Store) -> ModelMetadata:
        """Return the metadata from MLmodel and the files beside it, read once per tree."""
        remembered = store.recall(_REMEMBERED, digest)
        if remembered is not None:
            with suppress(ValueError):  # another version of Cloche wrote it
                return decode(ModelMetadata, remembered)
        metadata = read_metadata(store.tree_path(digest))
        store.remember(_REMEMBERED, digest, encode(metadata))
        return metadata

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a folder holds one model
    ) -> ModelFacts:
        """Return the facts of the folder; an ONNX flavor has those of its ONNX file."""
        from cloche.formats.mlflow.inspection import inspect_folder

        return inspect_folder(snapshot, root, options)
