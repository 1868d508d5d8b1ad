"""Models that are files: an ONNX file, a folder saved by MLflow, a Triton model repository."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, ModelFormat, ModelMetadata, ModelSnapshot, decode, encode
from cloche.errors import ClocheError
from cloche.sources.folders import inside, list_files, special, unreadable
from cloche.sources.looks import check_file, unknown_folder
from cloche.sources.mlmodel import remembered_metadata
from cloche.sources.onnx_files import ExternalData, external_data
from cloche.store.index import stat_key

if TYPE_CHECKING:
    from cloche.progress import Progress
    from cloche.sources.reference import FileReference
    from cloche.store import Store

_EXTERNAL = "onnx-external"
_NAME = re.compile(r'^\s*name\s*:\s*"([^"]+)"', re.MULTILINE)


def resolve_files(reference: FileReference, *, store: Store, progress: Progress) -> ModelSnapshot:
    """Take a model from disk into the store; an unchanged one costs a few `stat` calls."""
    path = reference.path
    try:
        if path.is_dir():
            form, entry, files = _of_folder(path, store)
        elif path.is_file():
            form, (entry, files) = ModelFormat.ONNX, _of_onnx(path, store)
        elif path.exists():
            raise special(path)
        else:
            raise _missing(reference)
        entries = take_in(files, title=f"Reading {path.name}", store=store, progress=progress)
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from error
    digest = store.put_tree(entries, label=reference.text)
    metadata = ModelMetadata()
    if form is ModelFormat.MLFLOW:
        metadata = remembered_metadata(store, digest)
    return ModelSnapshot(
        reference=reference.text,
        pinned=str(path),
        source="files",
        version=None,
        digest=digest,
        format=form,
        files=entries,
        entry=entry,
        metadata=metadata,
    )


def take_in(
    files: dict[str, Path], *, title: str, store: Store, progress: Progress
) -> tuple[FileEntry, ...]:
    """Add files to the store under their paths in the model, with progress where bytes are read."""
    known = {path: store.known_file(path) for path in files.values()}
    missing = [path for path, entry in known.items() if entry is None]
    if missing:
        with progress.step(title, sum(path.stat().st_size for path in missing)) as step:
            known |= {path: store.add_file(path, step) for path in missing}
    return tuple(
        FileEntry(name, entry.size, entry.digest)
        for name, path in sorted(files.items())
        if (entry := known[path]) is not None
    )


# ── folders ───────────────────────────────────────────────────────────────────────────────────


def _of_folder(folder: Path, store: Store) -> tuple[ModelFormat, str, dict[str, Path]]:
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if "MLmodel" in names:
        return ModelFormat.MLFLOW, "MLmodel", list_files(folder)
    if is_triton_model(folder):
        # A repository is a folder of models: one model alone becomes a repository of it.
        model = _triton_name(folder)
        files = {f"{model}/{name}": path for name, path in list_files(folder).items()}
        return ModelFormat.TRITON, ".", files
    if any(is_triton_model(folder / name) for name in names):
        return ModelFormat.TRITON, ".", list_files(folder)
    models = sorted(name for name in names if name.lower().endswith(".onnx"))
    if len(models) == 1:
        entry, files = _of_onnx(folder / models[0], store)
        return ModelFormat.ONNX, entry, files
    if models:
        raise ClocheError(
            "source.files.several",
            f"The folder holds {len(models)} ONNX files: {', '.join(models[:5])}.",
            where=str(folder),
            hint=f"Name the one to serve: {folder / models[0]}",
        )
    raise unknown_folder(folder, names)


def is_triton_model(folder: Path) -> bool:
    """Return whether a folder is one model of a Triton repository, with or without its config."""
    if not folder.is_dir():
        return False
    if (folder / "config.pbtxt").is_file():
        return True
    return any(
        version.name.isdigit() and version.is_dir() and any(version.glob("model.*"))
        for version in folder.iterdir()
    )


def _triton_name(folder: Path) -> str:
    """Return the name that a model folder must have: the one in its config, or its own."""
    try:
        match = _NAME.search((folder / "config.pbtxt").read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        match = None
    name = match[1] if match else folder.resolve().name
    return PurePosixPath(name).name or "model"


# ── ONNX ──────────────────────────────────────────────────────────────────────────────────────


def _of_onnx(path: Path, store: Store) -> tuple[str, dict[str, Path]]:
    """Return the entry and the files of an ONNX model: itself as model.onnx, and its weights."""
    external = _external_data(path, store)
    taken = {data.location for data in external}
    entry = path.name if "model.onnx" in taken else "model.onnx"
    files = {entry: path}
    for data in external:
        location = _plain_location(data.location, path)
        files[location] = _weights(path, location, data.size)
    return entry, files


def _external_data(path: Path, store: Store) -> tuple[ExternalData, ...]:
    key = stat_key(path.stat())
    remembered = store.recall(_EXTERNAL, key)
    if remembered is not None:
        return decode(tuple[ExternalData, ...], remembered)
    check_file(path)
    found = external_data(path)
    store.remember(_EXTERNAL, key, encode(found))
    return found


def _plain_location(location: str, model: Path) -> str:
    parts = PurePosixPath(location).parts
    if not parts or ".." in parts or location.startswith("/") or "\0" in location:
        raise ClocheError(
            "source.onnx.external_escapes",
            f"The model keeps weights in {location!r}, which is outside its folder.",
            where=str(model),
            hint="Save it again with weights beside it: onnx.save(model, path,"
            " save_as_external_data=True, location='model.onnx.data').",
        )
    return "/".join(parts)


def _weights(model: Path, location: str, size: int) -> Path:
    path = model.parent / location
    if not path.exists() and not path.is_symlink():
        raise ClocheError(
            "source.onnx.external_missing",
            f"The model keeps weights in {location!r}, and that file is not there.",
            where=str(path),
            hint="Copy the file to the model's folder: the model is not whole without it.",
        )
    real = inside(model.parent, path)
    if not real.is_file():
        raise special(path)
    actual = real.stat().st_size
    if actual < size:
        raise ClocheError(
            "source.onnx.external_truncated",
            f"The file of weights is cut off: it has {actual} bytes and the model needs {size}.",
            where=str(path),
            hint="Copy or download it again.",
        )
    return real


def _missing(reference: FileReference) -> ClocheError:
    path, text = reference.path, reference.text
    if re.fullmatch(r"[^/\\]+@[\w.-]+", text):
        hint = f"For a model in a registry write models:/{text}."
    elif near := _near(path):
        hint = f"Did you mean {near}?"
    else:
        hint = "Check the path; a model in a registry is written models:/NAME@ALIAS."
    return ClocheError(
        "source.files.missing", "There is no such file or folder.", where=str(path), hint=hint
    )


def _near(path: Path) -> Path | None:
    import difflib

    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return None
    close = difflib.get_close_matches(path.name, names, n=1)
    return path.parent / close[0] if close else None
