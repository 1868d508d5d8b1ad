"""Finding the format of a path on disk."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.formats import lookalikes

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cloche.formats.format import Format, Lookalike, ModelFiles
    from cloche.formats.variant import Variant
    from cloche.store import Store


def recognize(path: Path, formats: Collection[Format], store: Store) -> tuple[Format, ModelFiles]:
    """Return the first format that detects a file or folder, and the model's files.

    A look-alike file is refused before a format without marks of its own is asked, a look-alike
    folder after all, because a folder may hold a model among other things. Raises ClocheError
    (`source.files.…`), which says what the path looks like and what to do.
    """
    form, place = _found(path, formats)
    return form, form.files(place, store)


def variant_of(path: Path, formats: Collection[Format]) -> Variant | None:
    """Return which variant of a format a path is; None if that is not told, or it is none."""
    with suppress(ClocheError):
        form, place = _found(path, formats)
        return form.variant(place)
    return None


def _found(path: Path, formats: Collection[Format]) -> tuple[Format, Path]:
    """Return the format of a path, and where its model is."""
    known = (*(mark for form in formats for mark in form.lookalikes), *lookalikes.GENERAL)
    marked = [form for form in formats if form.marked]
    for form in marked:
        if form.detect(path):
            return form, path
    if path.is_file() and (lookalike := lookalikes.of_file(path, known)):
        raise _refusal(path, lookalike, formats)
    for form in formats:
        if form not in marked and form.detect(path):
            return form, path
    lookalike = lookalikes.of_folder(path, known) if path.is_dir() else None
    raise _refusal(path, lookalike or lookalikes.unknown(path), formats)


def _refusal(path: Path, lookalike: Lookalike, formats: Collection[Format]) -> ClocheError:
    remedy = lookalike.remedy if isinstance(lookalike.remedy, str) else lookalike.remedy(path)
    *titles, last = (form.title for form in formats)
    served = f"This version serves {', '.join(titles)} and {last}"
    return ClocheError(
        f"source.files.{lookalike.code}",
        f"This is {lookalike.what}.",
        where=str(path),
        hint=f"{remedy[0].upper()}{remedy[1:]}. {served}.",
    )
