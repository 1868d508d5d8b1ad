"""The names of a model's classes in a file: a line each, or JSON with them by their index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 16 * 2**20
_HINT = "Write the name of a class on each line, in the order of the model's outputs."


def read(path: Path) -> tuple[str, ...]:
    """Return the names in a file; raises UsageError `spec.labels`.

    JSON is a list of names, or a mapping of indices to names or to lists that end with one, as
    ImageNet's `{"0": ["n01440764", "tench"]}`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unusable(path, f"The file cannot be read: {error.strerror}.") from None
    if len(data) > _LARGEST:
        raise _unusable(path, "It is too large for names of classes.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable(path, "It is not text in UTF-8.") from None
    names = _of_json(text, path) if text.lstrip()[:1] in {"[", "{"} else text.splitlines()
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise _unusable(path, "It has no names." if not names else "A line in it is empty.")
    return tuple(names)


def _of_json(text: str, path: Path) -> list[str]:
    try:
        document: Any = json.loads(text)
        if isinstance(document, dict):
            indexed = {int(index): name for index, name in document.items()}
            if sorted(indexed) != list(range(len(indexed))):
                raise _unusable(path, "Its indices are not 0, 1, 2 … without a gap.")
            document = [indexed[index] for index in range(len(indexed))]
        names = [each[-1] if isinstance(each, list) else each for each in document]
    except (ValueError, IndexError, RecursionError) as error:
        raise _unusable(path, f"It is not a list of names in JSON: {error}.") from None
    if not all(isinstance(name, str) and "\n" not in name for name in names):
        raise _unusable(path, "Its names are not lines of text.")
    return names


def _unusable(path: Path, why: str) -> UsageError:
    what = f"The labels cannot be used. {why}"
    return UsageError("spec.labels", what, where=str(path), hint=_HINT)
