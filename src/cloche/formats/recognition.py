"""Finding the format of a path on disk."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.formats import libraries, lookalikes
from cloche.formats.weight_files import LEFTOVERS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cloche.formats.format import Format, Lookalike, ModelFiles
    from cloche.formats.variant import Variant
    from cloche.store import Store


def recognize(path: Path, formats: Collection[Format], store: Store) -> tuple[Format, ModelFiles]:
    """Return the first format that detects a file or folder, and the model's files.

    A look-alike file is refused before a format without marks of its own is asked, a look-alike
    folder after all, because a folder may hold a model among other things: of no format itself, it
    is the only model in it. Raises ClocheError (`source.files.…`), which says what the path looks
    like and what to do.
    """
    form, model = _found(path, formats)
    return form, form.files(model, store)


def variant_of(path: Path, formats: Collection[Format]) -> Variant | None:
    """Return which variant of a format a path is; None if that is not told, or it is none."""
    with suppress(ClocheError):
        form, model = _found(path, formats)
        return form.variant(model)
    return None


def _found(path: Path, formats: Collection[Format]) -> tuple[Format, Path]:
    """Return the format of a path, and where its model is: there, or a file in it."""
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
    if refused := libraries.refusal(lookalikes.visible(path), str(path)):
        raise refused
    inside = _models_in(path, marked)
    if len(inside) == 1:
        [(file, form)] = inside
        return form, file
    lookalike = lookalikes.of_folder(path, known) if path.is_dir() else None
    if inside and lookalike is None:
        raise _several([file for file, _ in inside], path)
    raise _refusal(path, lookalike or lookalikes.unknown(path), formats)


def _models_in(folder: Path, marked: Collection[Format]) -> list[tuple[Path, Format]]:
    """Return the files at the top of a folder that are models of formats with marks of their own.

    What a training leaves beside its model is none.
    """
    files = (folder / name for name in sorted(lookalikes.visible(folder) - LEFTOVERS))
    formats = (
        (file, next((form for form in marked if form.detect(file)), None))
        for file in files if file.is_file()
    )  # fmt: skip
    return [(file, form) for file, form in formats if form is not None]


def _several(files: list[Path], folder: Path) -> ClocheError:
    names = ", ".join(file.name for file in files[:5]) + (" …" if len(files) > 5 else "")
    return ClocheError(
        "source.files.several",
        f"The folder holds {len(files)} files that are models: {names}.",
        where=str(folder),
        hint=f"Name the one to serve: {files[0]}",
    )


def _refusal(path: Path, lookalike: Lookalike, formats: Collection[Format]) -> ClocheError:
    remedy = lookalike.remedy if isinstance(lookalike.remedy, str) else lookalike.remedy(path)
    hint = f"{remedy[0].upper()}{remedy[1:]}."
    if lookalike.code not in _NOT_WHOLE:
        *titles, last = (form.title for form in formats)
        hint += f" This version serves {', '.join(titles)} and {last}."
    return ClocheError(
        f"source.files.{lookalike.code}",
        f"This is {lookalike.what}.",
        where=str(path),
        hint=hint,
    )


_NOT_WHOLE = frozenset({"cut", "damaged", "html", "lfs"})
"""What stands in the place of a model, which another format would not mend."""
