"""Where the files of a model go in a repository.

<service>/config.pbtxt
<service>/1/model.onnx …                 ONNX, with its external data beside it
<service>/1/model.py, 1/model/…          MLflow: what serves it, and the folder as it was saved
<service>/requirements.lock              the locked requirements of such a model
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, ModelFormat
from cloche.errors import ClocheError
from cloche.repository.config import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import Lock, ModelSnapshot
    from cloche.store import Store

DEFAULT_ONNX = "model.onnx"
_SERVING_CODE = Path(__file__).with_name("pyfunc") / "model.py"
_MLFLOW_FILES = frozenset({
    "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json",
    "serving_input_example.json", "input_example.npz", "registered_model_meta",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class OnnxFiles:
    """An ONNX model's files by their path in the version folder, and the model's own name there."""

    files: tuple[FileEntry, ...]
    filename: str


def onnx_files(snapshot: ModelSnapshot) -> OnnxFiles:
    """Return the files of an ONNX model, or of an MLflow model that is one.

    Weights outside the model's own file keep the names that the model knows them by, relative to
    it. Raises ClocheError `repository.onnx` where an MLflow folder holds no ONNX file.
    """
    entry = snapshot.entry if snapshot.format is ModelFormat.ONNX else _onnx_of_mlflow(snapshot)
    folder = PurePosixPath(entry).parent
    beside = [
        FileEntry(str(PurePosixPath(file.path).relative_to(folder)), file.size, file.digest)
        for file in snapshot.files
        if file.path != entry and PurePosixPath(file.path).is_relative_to(folder)
    ]
    if snapshot.format is ModelFormat.MLFLOW:
        beside = [file for file in beside if _may_be_weights(file.path)]
    taken = any(file.path == DEFAULT_ONNX for file in beside)
    filename = PurePosixPath(entry).name if taken else DEFAULT_ONNX
    model = next(file for file in snapshot.files if file.path == entry)
    return OnnxFiles((FileEntry(filename, model.size, model.digest), *beside), filename)


def _onnx_of_mlflow(snapshot: ModelSnapshot) -> str:
    found = sorted(file.path for file in snapshot.files if file.path.endswith(".onnx"))
    if DEFAULT_ONNX in found:
        return DEFAULT_ONNX
    if len(found) == 1:
        return found[0]
    raise ClocheError(
        "repository.onnx",
        "The MLflow folder says that it holds an ONNX model, and "
        + (f"{len(found)} .onnx files are in it." if found else "no .onnx file is in it."),
        where=snapshot.pinned,
        hint="Log the model again with mlflow.onnx.log_model.",
    )


def _may_be_weights(path: str) -> bool:
    first = PurePosixPath(path).parts[0]
    return first not in _MLFLOW_FILES and first not in {"metadata", "code", "artifacts"}


def of_onnx(service: str, config: bytes, onnx: OnnxFiles, store: Store) -> tuple[FileEntry, ...]:
    """Return the files of an ONNX model's repository."""
    moved = _under(f"{service}/{VERSION}", onnx.files)
    return _sorted([_written(f"{service}/config.pbtxt", config, store), *moved])


def of_mlflow(
    service: str, config: bytes, snapshot: ModelSnapshot, lock: Lock | None, store: Store
) -> tuple[FileEntry, ...]:
    """Return the files of a repository whose model runs in Python."""
    files = [
        _written(f"{service}/config.pbtxt", config, store),
        _written(f"{service}/{VERSION}/model.py", _SERVING_CODE.read_bytes(), store),
        *_under(f"{service}/{VERSION}/model", snapshot.files),
    ]
    if lock is not None:
        text = f"# python {lock.python}\n{lock.text}".encode()
        files.append(_written(f"{service}/requirements.lock", text, store))
    return _sorted(files)


def _under(folder: str, files: Iterable[FileEntry]) -> list[FileEntry]:
    return [FileEntry(f"{folder}/{file.path}", file.size, file.digest) for file in files]


def _written(path: str, data: bytes, store: Store) -> FileEntry:
    return FileEntry(path, len(data), store.add_bytes(data))


def _sorted(files: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    return tuple(sorted(files, key=lambda file: file.path))
