"""Where the files of a repository come from: the hub, or, offline, what is on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from cloche.clients.huggingface.local_cache import LocalCache
from cloche.clients.huggingface.repository import Commit, Repository
from cloche.errors import ClocheError, NotFoundError
from cloche.sources.downloads import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.huggingface.hub import Hub
    from cloche.clients.huggingface.repository import RepositoryFile
    from cloche.clients.streams import FileServer
    from cloche.sources.huggingface.memory import Memory
    from cloche.sources.huggingface.reference import HubReference


class Place(Protocol):
    """A place that has the files of a repository."""

    holder: str
    """What it is, in words."""
    where: str
    server: FileServer

    def commit(self) -> Commit:
        """Return the commit that the reference names now."""

    def files(self, commit: Commit) -> tuple[RepositoryFile, ...]:
        """Return the files of a commit."""

    def remote(self, commit: Commit, file: RepositoryFile) -> RemoteFile:
        """Return how to get a file."""


@contextmanager
def place_of(hub: Hub, reference: HubReference, memory: Memory) -> Iterator[Place]:
    """Yield the hub, or this machine where the user's environment says that it is offline."""
    cache = LocalCache(hub.cache, reference.name)
    if hub.offline:
        yield OnThisMachine(cache, reference, memory)
        return
    repository = Repository(hub, reference.name)
    try:
        yield OnHub(repository, cache, reference, memory)
    finally:
        repository.close()


class OnHub:
    """The hub; a file that its own client has on this machine is copied from there."""

    holder = "the repository"

    def __init__(
        self, repository: Repository, cache: LocalCache, reference: HubReference, memory: Memory
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._reference = reference
        self._memory = memory
        self.where = repository.server.where
        self.server: FileServer = repository.server

    def commit(self) -> Commit:
        """Ask the hub, unless the reference names a commit that it was asked for before."""
        known = self._memory.commit() if self._reference.is_commit else None
        commit = known or self._repository.commit(self._reference.revision)
        self._memory.keep_commit(commit)
        return commit

    def files(self, commit: Commit) -> tuple[RepositoryFile, ...]:
        """Return the files that the hub lists."""
        return self._repository.files(commit)

    def remote(self, commit: Commit, file: RepositoryFile) -> RemoteFile:
        """Return how to get a file, with the local one that may have its bytes."""
        endpoint = self._repository.endpoint(commit, file.path)
        near = self._cache.blob(file)
        return RemoteFile(file.path, endpoint, file.size, file.digest, near)


class OnThisMachine:
    """The cache of the hub's own client, and the commits that the store remembers."""

    holder = "the local cache"

    def __init__(self, cache: LocalCache, reference: HubReference, memory: Memory) -> None:
        self._cache = cache
        self._reference = reference
        self._memory = memory
        self._here: dict[RepositoryFile, RemoteFile] = {}
        self.where = str(cache.folder)
        self.server: FileServer = _NoServer(self)

    def commit(self) -> Commit:
        """Return the commit of the cache, as the hub's own client does, else that of the store."""
        name, known = self._reference.name, self._memory.commit()
        cached = self._cache.commit(self._reference.revision)
        if cached and (known is None or self._cache.files(cached)):
            same = known is not None and known.commit == cached
            return known if known is not None and same else Commit(name, cached)
        if known is None:
            raise self.missing(f"hf://{name}@{self._reference.revision} is")
        return known

    def files(self, commit: Commit) -> tuple[RepositoryFile, ...]:
        """Return the files of a commit that the cache has."""
        cached = self._cache.files(commit.commit)
        if not cached:
            raise self.missing(
                f"the files of {self._reference.pinned(commit.name, commit.commit)} are"
            )
        self._here = {
            file: RemoteFile(file.path, file.path, file.size, file.digest, path)
            for file, path in cached.items()
        }
        return tuple(cached)

    def remote(self, commit: Commit, file: RepositoryFile) -> RemoteFile:  # noqa: ARG002
        """Return where a file is."""
        return self._here[file]

    def missing(self, what: str) -> NotFoundError:
        """Return the error for what is not on this machine; `what` ends with its verb."""
        return NotFoundError(
            "source.huggingface.offline",
            f"The hub is not asked (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE), and {what} not on this"
            " machine.",
            where=self.where,
            hint=f"Unset both, or fetch it once: hf download {self._reference.name}",
        )

    def damaged(self, path: str) -> ClocheError:
        """Return the error for a cached file whose bytes are not those that its name says."""
        return ClocheError(
            "source.huggingface.damaged",
            f"{path} is damaged in the local cache: its bytes do not have its digest.",
            where=self.where,
            hint=f"Fetch it again: hf download --force-download {self._reference.name}",
        )


class _NoServer:
    """What is asked for a file when the local one does not have its digest."""

    def __init__(self, place: OnThisMachine) -> None:
        self.base = place.where
        self._place = place

    def stream(self, endpoint: str, headers: dict[str, str], stall: float) -> NoReturn:  # noqa: ARG002
        """Raise source.huggingface.damaged."""
        raise self._place.damaged(endpoint)
