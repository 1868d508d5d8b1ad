"""What references of MLflow were resolved to, so that an unchanged model is not fetched again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import ModelSnapshot, decode, encode
from cloche.sources.locations import Behind, Level, RemoteFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.sources.naming import Details, Named
    from cloche.store import Store

_KIND = "mlflow"
_TRUSTED = 600.0
"""Seconds for which a listing is not asked for again.

MLflow does not change a version's files, and a server that checks passwords takes about half a
second for each request; a file that somebody put in its place by hand is seen after this time.
"""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What a pinned model was resolved to, where its files are, and what was listed there when."""

    state: str
    location: str
    behind: Behind
    top: Level
    listed: float
    snapshot: ModelSnapshot


class Memory:
    """Snapshots by what they are pinned to, in the store's index.

    `scope` names the registries; `locate` finds a folder of artifacts again.
    """

    def __init__(
        self, store: Store, scope: str, locate: Callable[[str, Behind], Path | RemoteFolder]
    ) -> None:
        self._store = store
        self._scope = scope
        self._locate = locate

    def unchanged(self, named: Named) -> ModelSnapshot | None:
        """Return the remembered snapshot if registry, listing and store still agree with it."""
        known = self._recall(named.pinned)
        if known is None or known.state != named.state:
            return None
        if not 0 <= time.time() - known.listed <= _TRUSTED:
            folder = self._locate(known.location, known.behind)
            if not isinstance(folder, RemoteFolder) or folder.top() != known.top:
                return None
            self._keep(named, replace(known, listed=time.time()))
        return known.snapshot if self._store.whole(known.snapshot.digest) else None

    def remember(self, named: Named, details: Details, top: Level, snapshot: ModelSnapshot) -> None:
        """Keep what a model was resolved to, with the listing that it was resolved from."""
        location, behind = details.location, details.behind
        known = _Remembered(named.state, location, behind, top, time.time(), snapshot)
        self._keep(named, known)

    def _keep(self, named: Named, known: _Remembered) -> None:
        self._store.remember(_KIND, self._key(named.pinned), encode(known))

    def _recall(self, pinned: str) -> _Remembered | None:
        data = self._store.recall(_KIND, self._key(pinned))
        try:
            return decode(_Remembered, data) if data is not None else None
        except ValueError:  # another version of Cloche wrote it
            return None

    def _key(self, pinned: str) -> str:
        return f"{self._scope}\n{pinned}"
