"""The ONNX format: a file with its weights inside or beside it, or a folder with one such file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat, decode, encode
from cloche.errors import ClocheError
from cloche.formats import declared_inputs, weight_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.one_file import WithoutMetadata
from cloche.formats.onnx.codes import SOURCE
from cloche.formats.onnx.external import weights
from cloche.formats.onnx.file import ExternalData, external_data
from cloche.formats.onnx.lookalikes import LOOKALIKES
from cloche.formats.variant import EXAMPLE, INPUTS, LABELS, From, Served, Variant
from cloche.model_config.names import ONNX_FILE
from cloche.store.index import stat_key

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.store import Store

_REMEMBERED = "onnx-external"


class OnnxFormat(WithoutMetadata):
    """ONNX files; implements `cloche.formats.Format`."""

    name = ModelFormat.ONNX
    entry = ONNX_FILE
    title = "ONNX files"
    marked = False
    lookalikes: tuple[Lookalike, ...] = LOOKALIKES
    variants: tuple[Variant, ...] = (
        Variant(
            "onnx", "an ONNX file, with its weights inside or beside it",
            "onnx.save(model, 'model.onnx')",
            (From.FILE, From.FOLDER, From.HUB), Served.ONNX, (INPUTS, LABELS, EXAMPLE),
        ),
    )  # fmt: skip

    def detect(self, path: Path) -> bool:
        """Return whether a path is a folder with an ONNX file in it, or any file.

        ONNX has no magic bytes: any file that is not something else may be ONNX.
        """
        return path.is_file() or bool(weight_files.exports(weight_files.listed(path)))

    def files(self, path: Path, store: Store) -> ModelFiles:
        """Return the file as `model.onnx`, and the files of weights under their own names."""
        model = path if path.is_file() else _only(path)
        needed = _external_data(model, store)
        taken = {data.location for data in needed}
        entry = model.name if ONNX_FILE in taken else ONNX_FILE
        return ModelFiles(entry, {entry: model, **weights(model, needed, SOURCE)})

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return the facts of the file."""
        from cloche.formats.onnx.inspection import inspect_file

        asked = declared_inputs.specs(options)
        return inspect_file(root / snapshot.entry, snapshot.pinned, asked)


def _only(folder: Path) -> Path:
    """Return the plain export of a folder or of its folder `onnx`, or the only one.

    The latter is where exports lie beside the weights of Hugging Face's libraries.
    """
    names = weight_files.listed(folder)
    found, plain = weight_files.exports(names), weight_files.export(names)
    if plain is None and len(found) > 1:
        raise ClocheError(
            "source.files.several",
            f"The folder holds {len(found)} ONNX files: {', '.join(found[:5])}.",
            where=str(folder),
            hint=f"Name the one to serve: {folder / found[0]}",
        )
    return folder / (plain or found[0])


def _external_data(path: Path, store: Store) -> tuple[ExternalData, ...]:
    """Return the other files that a model needs, read once per state of its file."""
    key = stat_key(path.stat())
    remembered = store.recall(_REMEMBERED, key)
    if remembered is not None:
        return decode(tuple[ExternalData, ...], remembered)
    needed = external_data(path, SOURCE)
    store.remember(_REMEMBERED, key, encode(needed))
    return needed
