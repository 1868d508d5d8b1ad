"""What the chosen files are: laid out under the repository's name, they are taken by a format.

A format speaks of paths on disk; in its errors they become references of the repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry
from cloche.errors import ClocheError, ErrorGroup
from cloche.formats import Foresight, recognize

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.formats import Format
    from cloche.store import Store


@dataclass(frozen=True, slots=True)
class Recognized:
    """A format, and the files of its model under their paths in it."""

    form: Format
    entry: str
    files: tuple[FileEntry, ...]


def foresee(
    entries: Collection[FileEntry],
    names: Collection[str],
    *,
    where: str,
    why: str,
    formats: Collection[Format],
    store: Store,
    trust: bool,
) -> None:
    """Raise what a format would raise for a model, from its stored settings (`entries`) alone.

    `names` are the paths of all its files, `why` is their choice, which a refusal repeats.
    `trust` is whether the user lets it bring code.
    """
    with store.laid_out(tuple(entries)) as folder:
        found: object = next(
            (each for each in formats if each.marked and each.detect(folder)), None
        )
        if not isinstance(found, Foresight):
            return
        try:
            settings = {entry.path: folder / entry.path for entry in entries}
            found.foresee(settings, names, where, trust=trust)
        except ClocheError as error:
            raise error.with_(what=f"{error.what} Chosen: {why}.") from None


def recognized(
    entries: Collection[FileEntry],
    *,
    name: str,
    wanted: str | None,
    where: str,
    why: str,
    formats: Collection[Format],
    store: Store,
) -> Recognized:
    """Return the format of stored files; `wanted` is the one file to look at.

    `name` is what a format calls the folder, `where` the reference of it, `why` the choice of its
    files, which a refusal repeats. Raises source.files.….
    """
    by_path = {f"{name}/{entry.path}": entry for entry in entries}
    named = tuple(FileEntry(path, each.size, each.digest) for path, each in by_path.items())
    with store.laid_out(named) as top:
        root = top.resolve()
        folder = root / name
        try:
            form, model = recognize(folder / (wanted or ""), formats, store)
        except ClocheError as error:
            refused = _renamed(error, str(folder), where)
            raise refused.with_(what=f"{refused.what} Chosen: {why}.") from None
        files = {
            path: by_path[file.resolve().relative_to(root).as_posix()]
            for path, file in model.files.items()
        }
    taken = (FileEntry(path, each.size, each.digest) for path, each in sorted(files.items()))
    return Recognized(form, model.entry, tuple(taken))


def _renamed(error: ClocheError, folder: str, where: str) -> ClocheError:
    """Return an error with a reference in place of a folder's path."""
    if isinstance(error, ErrorGroup):
        members = [_renamed(member, folder, where) for member in error.errors]
        return ErrorGroup(error.code, error.what.replace(folder, where), members)
    return error.with_(
        what=error.what.replace(folder, where),
        where=(error.where or where).replace(folder, where),
        hint=(error.hint or "").replace(folder, where),
    )
