"""What the store remembers of a repository: the commits that revisions named, and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cloche.artifacts import ModelSnapshot, decode, encode
from cloche.clients.huggingface.repository import Commit
from cloche.version import __version__

if TYPE_CHECKING:
    from cloche.sources.huggingface.reference import HubReference
    from cloche.store import Store

_COMMITS, _SNAPSHOTS = "huggingface-commit", "huggingface"
_Value = TypeVar("_Value")


class Memory:
    """The remembered part of one reference of one hub."""

    def __init__(self, store: Store, endpoint: str, reference: HubReference) -> None:
        self._store = store
        self._endpoint = endpoint
        self._revision = f"{endpoint}\n{reference.name}\n{reference.revision}"

    def commit(self) -> Commit | None:
        """Return the commit that the revision named when the hub was last asked."""
        return self._recall(_COMMITS, self._revision, Commit)

    def keep_commit(self, commit: Commit) -> None:
        """Remember the commit that the revision names."""
        if commit != self.commit():
            self._store.remember(_COMMITS, self._revision, encode(commit))

    def snapshot(self, pinned: str) -> ModelSnapshot | None:
        """Return the snapshot of a pinned reference if all its files are in the store."""
        known = self._recall(_SNAPSHOTS, self._snapshot_key(pinned), ModelSnapshot)
        return known if known is not None and self._store.whole(known.digest) else None

    def keep_snapshot(self, snapshot: ModelSnapshot) -> None:
        """Remember a resolved snapshot."""
        key = self._snapshot_key(snapshot.pinned)
        self._store.remember(_SNAPSHOTS, key, encode(snapshot))

    def _snapshot_key(self, pinned: str) -> str:
        # Another version of Cloche may choose other files.
        return f"{__version__}\n{self._endpoint}\n{pinned}"

    def _recall(self, kind: str, key: str, of: type[_Value]) -> _Value | None:
        data = self._store.recall(kind, key)
        try:
            return decode(of, data) if data is not None else None
        except ValueError:  # another version of Cloche wrote it
            return None
