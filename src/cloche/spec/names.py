"""Names of services: safe in DNS, in paths and on any file system (RFC 1123 labels).

A name left out comes from the model's own name in its reference. An alias, a version or the ending
of a file says nothing of which model it is, and two models would share it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from pathlib import Path

MAX_LENGTH = 63
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""Regular expression of a name, for Python and for JSON Schema."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=/)")
_VERSION = re.compile(r"v?\d+|latest", re.IGNORECASE)
_ENDINGS = re.compile(
    r"\.(onnx|pt2?|pth|pkl|pickle|joblib|keras|h5|hdf5|tflite|pb|plan|engine|safetensors|gguf"
    r"|ubj|cbm|bin|xml|json|txt|yaml|zip|tar|tgz|gz|bz2|xz|zst)$",
    re.IGNORECASE,
)
"""The endings of model files, and of what they are packed in."""


def is_safe(name: str) -> bool:
    """Return whether a name is an RFC 1123 label: a-z, 0-9 and inner dashes, at most 63."""
    return re.fullmatch(LABEL, name) is not None


def corrected(name: str) -> str | None:
    """Return the nearest safe name, None if nothing is left; other scripts are transliterated."""
    if not name.isascii():
        from anyascii import anyascii

        # Apostrophes stand for letters without a counterpart; they part no word.
        name = re.sub(r"['`]", "", anyascii(name))
    dashed = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return dashed[:MAX_LENGTH].rstrip("-") or None


def from_reference(reference: str, directory: Path | None = None) -> str | None:
    """Return a service name for a model reference, None if it has none.

    `models:/Digits_Clf@champion` → `digits-clf`, `models:/信用评分/1` → `xinyongpingfen`,
    `./my model.onnx` → `my-model`, `runs:/0a1b/classifier` → `classifier`,
    `hf://org/All-MiniLM@main` → `all-minilm`. `directory` is the start of a relative path,
    to name a reference such as `.`.
    """
    reference = reference.strip()
    match = _SCHEME.match(reference)
    scheme, rest = (match[1].lower(), reference[match.end() :]) if match else ("", reference)
    if scheme == "models":
        return _of_registered(rest)
    if scheme == "runs":
        return _of_path(_parts(rest)[1:])
    if scheme == "hf":
        return _of_repository(rest)
    if scheme == "":
        return _of_path(_parts(_whole(rest, directory)))
    if scheme == "file":
        return _of_path(_parts(_without_authority(unquote(rest))))
    return _of_path(_parts(_without_authority(unquote(re.split(r"[?#]", rest, maxsplit=1)[0]))))


def _of_registered(rest: str) -> str | None:
    """Return the name of `NAME@ALIAS`, `NAME/VERSION` or `NAME/STAGE`.

    MLflow refuses `/` and `:` in a name and takes everything else, so nothing else is cut off.
    """
    name = _without_authority(rest).strip("/")
    if "@" in name:
        name = name.rpartition("@")[0]
    return corrected(name.partition("/")[0])


def _of_repository(rest: str) -> str | None:
    """Return the name of `ORGANISATION/NAME@REVISION/FILE`: that of the repository.

    The oldest repositories have no organisation: `NAME`, `NAME@REVISION/FILE`.
    """
    first, *others = _parts(rest) or [""]
    of_none = "@" in first or not others
    return corrected((first if of_none else others[0]).partition("@")[0])


def _of_path(parts: list[str]) -> str | None:
    """Return the name of the last part that is more than a version.

    MLflow keeps the files of a model in a folder `artifacts`, Triton in one folder per version.
    """
    while len(parts) > 1 and (parts[-1] == "artifacts" or _is_version(parts[-1])):
        parts = parts[:-1]
    return corrected(_without_ending(parts[-1])) if parts else None


def _whole(path: str, directory: Path | None) -> str:
    """Return a path, with the folders above it where its own last part says too little."""
    last = path.rstrip("/").rpartition("/")[2]
    if directory is None or not (last in {"", ".", ".."} or _is_version(last)):
        return path
    # Path.resolve raises RuntimeError for a loop of links.
    return os.path.realpath(directory / path)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", ".", ".."}]


def _without_authority(rest: str) -> str:
    return rest[2:].partition("/")[2] if rest.startswith("//") else rest


def _is_version(part: str) -> bool:
    return _VERSION.fullmatch(_without_ending(part)) is not None


def _without_ending(name: str) -> str:
    """Return a file's name without its endings: `model.pt.gz` → `model`, `.onnx` → nothing."""
    while (shorter := _ENDINGS.sub("", name)) != name:
        name = shorter
    return name
