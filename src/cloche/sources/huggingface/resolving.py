"""Resolving a reference of a hub to a commit and the files that serving needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, ModelMetadata, ModelSnapshot
from cloche.clients.huggingface.hub import hub_of
from cloche.errors import NotFoundError
from cloche.formats import weight_files
from cloche.sources.downloads import fetch
from cloche.sources.huggingface import card, integrity
from cloche.sources.huggingface.choice import CARD, Choice, choose
from cloche.sources.huggingface.memory import Memory
from cloche.sources.huggingface.places import place_of
from cloche.sources.huggingface.recognizing import foresee, recognized
from cloche.sources.huggingface.reference import parse
from cloche.sources.huggingface.weights import framework
from cloche.sources.source import PinnedModel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cloche.clients.huggingface.repository import Commit, RepositoryFile
    from cloche.formats import Format
    from cloche.sources.huggingface.places import Place
    from cloche.sources.huggingface.recognizing import Recognized
    from cloche.sources.huggingface.reference import HubReference
    from cloche.sources.source import ResolveContext
    from cloche.store import Store


_LARGEST_SETTINGS = 2**20
"""Bytes of a file that is read before the weights."""


def current(text: str, context: ResolveContext) -> PinnedModel:
    """Return the commit that a reference names now; costs one request at most."""
    reference, hub = parse(text), hub_of(context.environment)
    memory = Memory(context.store, hub.endpoint, reference)
    with place_of(hub, reference, memory) as place:
        commit = place.commit()
    pinned = reference.pinned(commit.name, commit.commit)
    return PinnedModel(pinned, commit.commit, commit.commit)


def resolve(
    text: str, context: ResolveContext, *, source: str, formats: Collection[Format]
) -> ModelSnapshot:
    """Return the snapshot of a reference, with its files in the store."""
    reference, hub = parse(text), hub_of(context.environment)
    memory = Memory(context.store, hub.endpoint, reference)
    with place_of(hub, reference, memory) as place:
        commit = place.commit()
        pinned = reference.pinned(commit.name, commit.commit)
        known = memory.snapshot(pinned)
        if known is not None:
            return replace(known, reference=text)
        taking = _Taking(reference, commit, pinned, place, context)
        scope = _scope(place.files(commit), reference, pinned)
        choice = taking.choose(scope)
        entries = taking.files(scope, choice, formats)
        said = taking.card(scope)
    found = recognized(
        entries,
        name=PurePosixPath(scope.folder or commit.name).name,
        wanted=scope.wanted,
        where=taking.folder_of(scope),
        why=choice.why,
        formats=formats,
        store=context.store,
    )
    digest = context.store.put_tree(found.files, label=pinned)
    said = replace(said, choice=choice.why, alternative=taking.alternative(scope, found))
    snapshot = ModelSnapshot(
        reference=text,
        pinned=pinned,
        source=source,
        version=commit.commit,
        digest=digest,
        format=found.form.name,
        files=found.files,
        entry=found.entry,
        metadata=_with_card(found.form.metadata(digest, context.store), said),
        registry=hub.endpoint,
    )
    memory.keep_snapshot(snapshot)
    return snapshot


@dataclass(frozen=True, slots=True)
class _Scope:
    """The files below the folder of a reference, by their path in it."""

    folder: str
    wanted: str | None
    """The one file that the reference names."""
    files: dict[str, RepositoryFile]
    card: RepositoryFile | None
    """The model card, which is at the top of the repository."""


def _scope(files: Iterable[RepositoryFile], reference: HubReference, pinned: str) -> _Scope:
    """Return the files that a reference names; raises source.huggingface.path."""
    every = {file.path: file for file in files}
    folder, wanted = reference.path, ""
    if reference.path in every:
        folder, _, wanted = reference.path.rpartition("/")
    start = f"{folder}/" if folder else ""
    below = {path.removeprefix(start): file for path, file in every.items()
             if path.startswith(start)}  # fmt: skip
    if not below:
        raise NotFoundError(
            "source.huggingface.path",
            f"The repository has no file or folder {reference.path or 'at all'}.",
            where=pinned,
            hint="See its files on the hub, and name one that is there.",
        )
    return _Scope(folder, wanted or None, below, every.get(CARD))


@dataclass(frozen=True, slots=True)
class _Taking:
    """Takes the files of one commit into the store."""

    reference: HubReference
    commit: Commit
    pinned: str
    place: Place
    context: ResolveContext

    def folder_of(self, scope: _Scope) -> str:
        """Return the pinned reference of the folder that the paths of a scope are in."""
        folder = replace(self.reference, path=scope.folder)
        return folder.pinned(self.commit.name, self.commit.commit)

    def choose(self, scope: _Scope) -> Choice:
        """Choose among the files of a scope; reads the index of shards, if there is one."""

        def shards_of(index: str) -> frozenset[str]:
            [entry] = self._fetch([scope.files[index]], f"Reading {self.pinned}")
            integrity.check([entry], self._store, self.pinned)
            return integrity.shards_in(self._store.read(entry.digest), index, self.pinned)

        sizes = {path: file.size for path, file in scope.files.items()}
        return choose(
            sizes,
            shards_of,
            where=self.folder_of(scope),
            holder=self.place.holder,
            wanted=scope.wanted,
        )

    def files(
        self, scope: _Scope, choice: Choice, formats: Collection[Format]
    ) -> tuple[FileEntry, ...]:
        """Fetch the chosen files, check them, and return them by their path in the scope.

        The smallest come first: a pointer in place of a file stops the others, and so do settings
        that a format refuses.
        """
        chosen = {scope.files[path].path: path for path in choice.paths}
        files = [scope.files[path] for path in choice.paths]
        pointers = [file for file in files if integrity.may_be_pointer(file)]
        title = f"Fetching {choice.title} of {self.pinned}"
        integrity.check(self._fetch(pointers, title), self._store, self.pinned)
        self._foresee(scope, choice, formats)
        beside = [scope.card] if scope.card is not None else []
        entries = [entry for entry in self._fetch([*files, *beside], title) if entry.path in chosen]
        integrity.check(entries, self._store, self.pinned)
        return tuple(FileEntry(chosen[each.path], each.size, each.digest) for each in entries)

    def _foresee(self, scope: _Scope, choice: Choice, formats: Collection[Format]) -> None:
        """Refuse a model that its settings show not to be served, before its weights are fetched.

        Raises ClocheError as `recognized`.
        """
        named = scope.wanted is not None and not weight_files.is_weights(scope.wanted)
        if named or any(path.endswith(".onnx") for path in choice.paths):
            return
        chosen = {scope.files[path].path: path for path in choice.paths}
        beside = [scope.files[path] for path in choice.paths if framework(path) is None]
        few = [file for file in beside if file.size <= _LARGEST_SETTINGS]
        fetched = self._fetch(few, f"Reading the settings of {self.pinned}") if few else ()
        foresee(
            [FileEntry(chosen[each.path], each.size, each.digest) for each in fetched],
            choice.paths,
            where=self.folder_of(scope),
            why=choice.why,
            formats=formats,
            store=self._store,
            trust=self.context.trust,
        )

    def card(self, scope: _Scope) -> ModelMetadata:
        """Return the metadata of the model card, which was fetched with the files."""
        if scope.card is None:
            return ModelMetadata()
        [entry] = self._fetch([scope.card], f"Reading {self.pinned}")
        return card.metadata_of(self._store.read(entry.digest).decode(errors="replace"))

    def alternative(self, scope: _Scope, found: Recognized) -> str | None:
        """Return the reference of other weights that could be served; None if a file was named."""
        if scope.wanted is not None:
            return None
        other = weight_files.alternative(scope.files, found.form.name)
        return f"{self.folder_of(scope)}/{other}" if other else None

    @property
    def _store(self) -> Store:
        return self.context.store

    def _fetch(self, files: list[RepositoryFile], title: str) -> tuple[FileEntry, ...]:
        return fetch(
            [self.place.remote(self.commit, file) for file in files],
            identity=self.pinned,
            title=title,
            server=self.place.server,
            store=self._store,
            progress=self.context.progress,
        )


def _with_card(own: ModelMetadata, said: ModelMetadata) -> ModelMetadata:
    """Return the metadata of a model completed by its repository's; the model's own records win."""
    return replace(
        own,
        tags={**said.tags, **own.tags},
        metrics={**said.metrics, **own.metrics},
        choice=said.choice,
        alternative=said.alternative,
    )
