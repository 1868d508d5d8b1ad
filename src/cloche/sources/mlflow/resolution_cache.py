"""Remembered resolutions of MLflow references, so that unchanged models are not fetched again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import ModelSnapshot, decode, encode
from cloche.sources.mlflow.locations import ArtifactOwner, Listing, RemoteFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.sources.mlflow.version_lookup import Details
    from cloche.sources.source import PinnedModel
    from cloche.store import Store

_KIND = "mlflow"
_TRUSTED = 600.0
"""Seconds before a listing is requested again.

MLflow does not change a version's files, and a server that checks passwords takes about half a
second per request. A file replaced by hand is noticed after this time.
"""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A resolved snapshot, the location of its files, and their listing with its time."""

    state: str
    location: str
    owner: ArtifactOwner
    top: Listing
    listed: float
    snapshot: ModelSnapshot


class ResolutionCache:
    """Snapshots by their pinned reference, in the store's index.

    `scope` names the registries; `locate` finds a folder of artifacts.
    """

    def __init__(
        self, store: Store, scope: str, locate: Callable[[str, ArtifactOwner], Path | RemoteFolder]
    ) -> None:
        self._store = store
        self._scope = scope
        self._locate = locate

    def unchanged(self, model: PinnedModel) -> ModelSnapshot | None:
        """Return the remembered snapshot if registry, listing and store still match it."""
        known = self._recall(model.pinned)
        if known is None or known.state != model.state:
            return None
        if not 0 <= time.time() - known.listed <= _TRUSTED:
            folder = self._locate(known.location, known.owner)
            if not isinstance(folder, RemoteFolder) or folder.top() != known.top:
                return None
            self._keep(model, replace(known, listed=time.time()))
        return known.snapshot if self._store.whole(known.snapshot.digest) else None

    def remember(
        self, model: PinnedModel, details: Details, top: Listing, snapshot: ModelSnapshot
    ) -> None:
        """Remember a snapshot with the listing that it was fetched from."""
        location, owner = details.location, details.owner
        known = _Remembered(model.state, location, owner, top, time.time(), snapshot)
        self._keep(model, known)

    def _keep(self, model: PinnedModel, known: _Remembered) -> None:
        self._store.remember(_KIND, self._key(model.pinned), encode(known))

    def _recall(self, pinned: str) -> _Remembered | None:
        data = self._store.recall(_KIND, self._key(pinned))
        try:
            return decode(_Remembered, data) if data is not None else None
        except ValueError:  # another version of Cloche wrote it
            return None

    def _key(self, pinned: str) -> str:
        return f"{self._scope}\n{pinned}"
