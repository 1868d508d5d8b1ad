"""Look-alikes of any format: files and folders that are not models. Each format adds its own."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from cloche.formats.format import Lookalike

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ABOUT = frozenset({"README.md", "LICENSE", "config.json"})
_BEGINNING = 4096
"""Bytes of a file that are examined."""


def of_file(path: Path, known: Iterable[Lookalike]) -> Lookalike | None:
    """Return the look-alike that a file is, None if it is unknown.

    Replacements of any file are tried first, then names, then first bytes.
    """
    with path.open("rb") as file:
        start = file.read(_BEGINNING)
    suffix, others = path.suffix.lower(), tuple(known)
    marked = (
        *(
            lookalike
            for lookalike in REPLACEMENTS
            if lookalike.test and lookalike.test(path, start)
        ),
        *(lookalike for lookalike in others if path.name in lookalike.names),
        *(lookalike for lookalike in others if suffix in lookalike.suffixes),
        *(
            lookalike
            for lookalike in others
            if lookalike.starts and start.startswith(lookalike.starts)
        ),
        *(lookalike for lookalike in others if lookalike.test and lookalike.test(path, start)),
    )
    return marked[0] if marked else None


def of_folder(folder: Path, known: Iterable[Lookalike]) -> Lookalike | None:
    """Return the look-alike that a folder is, or the only file in it; None if it is unknown."""
    names, others = visible(folder), tuple(known)
    for lookalike in others:
        if lookalike.names & names or (lookalike.test and lookalike.test(folder, b"")):
            return lookalike
    files = [folder / name for name in names - _ABOUT]
    return of_file(files[0], others) if len(files) == 1 and files[0].is_file() else None


def unknown(path: Path) -> Lookalike:
    """Return the look-alike for a path that matches nothing."""
    if not path.is_dir():
        return Lookalike("no model that Cloche knows", "name the model's file", code="unknown")
    names = sorted(visible(path))
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    what = f"a folder with no model that Cloche knows; it has {shown}"
    return Lookalike(what, "name the model's own file or folder", code="unknown")


def visible(folder: Path) -> frozenset[str]:
    """Return the names in a folder except hidden ones; empty for a file."""
    if not folder.is_dir():
        return frozenset()
    return frozenset(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _is_empty(path: Path, start: bytes) -> bool:
    return not start and path.is_file()


def _is_lfs_pointer(_: Path, start: bytes) -> bool:
    return start.startswith(b"version https://git-lfs")


def _is_web_page(_: Path, start: bytes) -> bool:
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<!doctype html", b"<html", b"<?xml"))


def _is_cut_archive(path: Path, start: bytes) -> bool:
    return start.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path)


def _is_text(path: Path, start: bytes) -> bool:
    """Return whether a file named like a binary model is text."""
    if not start or path.suffix.lower() not in {".onnx", ""}:
        return False
    if any(byte < 9 or 13 < byte < 32 for byte in start):
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4 and len(start) == _BEGINNING
    return True


def _is_json(path: Path, start: bytes) -> bool:
    return _is_text(path, start) and start.lstrip().startswith(b"{")


def _is_empty_folder(path: Path, _: bytes) -> bool:
    return path.is_dir() and not visible(path)


_UNPACK = "unpack it and name what is in it"
_OF_PYTHON = "log the model with MLflow, such as mlflow.sklearn.log_model"

REPLACEMENTS = (
    Lookalike(
        "an empty file", "export or download the model again", test=_is_empty, code="empty"
    ),
    Lookalike(
        "a Git LFS pointer; the model itself has not been fetched",
        "run `git lfs pull` in its folder", test=_is_lfs_pointer, code="lfs",
    ),
    Lookalike(
        "a web page (HTML or XML), not a model; probably the answer to a failed download",
        "download the model again, logged in if need be", test=_is_web_page, code="html",
    ),
    Lookalike(
        "a file that was cut off: it begins as an archive and has no end",
        "download or save the model again", test=_is_cut_archive, code="cut",
    ),
)  # fmt: skip
"""Look-alikes under the name of any file."""

GENERAL = (
    Lookalike(
        "a pickle, which Cloche does not load", _OF_PYTHON,
        suffixes=(".pkl", ".pickle", ".joblib", ".sav"),
        starts=(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
    ),
    Lookalike(
        "a model of fastText, which Cloche does not serve",
        "log it with mlflow.pyfunc.log_model, which serves it as a Python function",
        suffixes=(".ftz",), starts=(b"\xba\x16O/",),
    ),
    Lookalike(
        "an archive of TorchServe, which a later version serves",
        "unpack it (`unzip FILE`) and name the model in it, the serializedFile of"
        " MAR-INF/MANIFEST.json: TorchScript is served as it is",
        suffixes=(".mar",),
    ),
    Lookalike(
        "a model of CatBoost in its own format",
        "save it as ONNX, model.save_model('model.onnx', format='onnx'), or log it with"
        " mlflow.catboost.log_model",
        suffixes=(".cbm",), starts=(b"CBM1",),
    ),
    Lookalike(
        "a model of Core ML, which runs on Apple's systems alone",
        "name the model that it was converted from",
        suffixes=(".mlmodel", ".mlpackage", ".mlmodelc"),
    ),
    Lookalike("a zip archive", _UNPACK, suffixes=(".zip",), starts=(b"PK\x03\x04",)),
    Lookalike(
        "a compressed file", _UNPACK,
        suffixes=(".gz", ".tgz", ".xz", ".zst", ".bz2"), starts=(b"\x1f\x8b",),
    ),
    Lookalike("a tar archive", _UNPACK, suffixes=(".tar",)),
    Lookalike("an HDF5 file", "name the model's file", starts=(b"\x89HDF\r\n\x1a\n",)),
    Lookalike(
        "a NumPy array", "name the model; arrays are the input of `cloche infer`",
        suffixes=(".npy", ".npz"), starts=(b"\x93NUMPY",),
    ),
    Lookalike(
        "Python code", "log the model with MLflow, such as mlflow.pyfunc.log_model",
        suffixes=(".py",),
    ),
    Lookalike(
        "a YAML file", "for a cloche.yaml use `cloche deploy -f FILE`", suffixes=(".yaml", ".yml")
    ),
    Lookalike("a JSON file, not a model", "name the model's file", suffixes=(".json",)),
    Lookalike(
        "a text file (JSON), not a model", "name the model's file", test=_is_json, code="text"
    ),
    Lookalike("a text file, not a model", "name the model's file", test=_is_text, code="text"),
    Lookalike(
        "an empty folder", "name the folder of a model",
        test=_is_empty_folder, code="empty",
    ),
)  # fmt: skip
