"""Models that are files on this machine, in any format.

./model.onnx    ~/models/digits    file:///srv/models/digits
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cloche.artifacts import ModelSnapshot, digest_of, encode
from cloche.errors import ClocheError
from cloche.formats import recognize, weight_files
from cloche.formats.folders import special, unreadable
from cloche.sources.intake import take_in
from cloche.sources.references import split, wrong
from cloche.sources.source import PinnedModel
from cloche.store.index import stat_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from cloche.formats import Format, ModelFiles
    from cloche.sources.source import ResolveContext
    from cloche.store import Store

_NAME_AND_ALIAS = re.compile(r"[^/\\]+@[\w.-]+")


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file or a folder; `path` is absolute, its links are not resolved."""

    text: str
    path: Path


class FilesSource:
    """Files and folders; implements `cloche.sources.Source`."""

    name = "files"
    schemes: tuple[str, ...] = ("", "file")
    forms: tuple[str, ...] = ("the path of a file or folder",)
    misspelled: Mapping[str, str] = {}

    def __init__(self, formats: Collection[Format]) -> None:
        self._formats = formats

    def parse(self, text: str, directory: Path) -> FileReference:
        """Return the path that a reference names; a relative one begins at `directory`."""
        if split(text)[0] == "file":
            return _parse_uri(text)
        return FileReference(text, (directory / _expand(text)).absolute())

    def of_page(self, address: str) -> None:
        """Return None: files have no pages."""

    def current(self, text: str, context: ResolveContext) -> PinnedModel:
        """Return the path with the state of its files, without reading them."""
        path = self.parse(text, context.directory).path
        with _reading(path):
            _, model = self._recognize(text, path, context.store)
            state = [[name, stat_key(file.stat())] for name, file in sorted(model.files.items())]
        return PinnedModel(str(path), None, digest_of(encode(state)))

    def resolve(self, text: str, context: ResolveContext) -> ModelSnapshot:
        """Copy a model from disk into the store; an unchanged one costs a few `stat` calls."""
        path, store = self.parse(text, context.directory).path, context.store
        with _reading(path):
            form, model = self._recognize(text, path, store)
            title = f"Reading {path.name}"
            entries = take_in(model.files, title=title, store=store, progress=context.progress)
            other = weight_files.alternative(weight_files.listed(path), form.name)
        digest = store.put_tree(entries, label=text)
        return ModelSnapshot(
            reference=text,
            pinned=str(path),
            source=self.name,
            version=None,
            digest=digest,
            format=form.name,
            files=entries,
            entry=model.entry,
            metadata=replace(
                form.metadata(digest, store), alternative=str(path / other) if other else None
            ),
        )

    def _recognize(self, text: str, path: Path, store: Store) -> tuple[Format, ModelFiles]:
        if not path.exists():
            raise _missing(text, path)
        if not path.is_dir() and not path.is_file():
            raise special(path)
        return recognize(path, self._formats, store)


def _parse_uri(text: str) -> FileReference:
    parts = urlsplit(text)
    if parts.netloc not in {"", "localhost"}:
        what = f"file: names the machine {parts.netloc!r}; Cloche reads files on this machine only."
        raise wrong("host", text, what, "Write file:///PATH, or the path alone.")
    return FileReference(text, Path(unquote(parts.path)).absolute())


def _expand(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name of a user that does not exist
        return Path(text)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate an OSError into the error that names the unreadable file."""
    try:
        yield
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from error


def _missing(text: str, path: Path) -> ClocheError:
    if _NAME_AND_ALIAS.fullmatch(text):
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
