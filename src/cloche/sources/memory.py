"""What references of MLflow were resolved to, so that an unchanged model is not fetched again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import ModelSnapshot, decode, encode
from cloche.sources.locations import Behind, Level, RemoteFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from cloche.sources.naming import Details, Named
    from cloche.store import Store

_PINNED, _LAST = "mlflow", "mlflow-last"


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What a pinned model was resolved to, where its files are, and what was listed there."""

    state: str
    location: str
    behind: Behind
    top: Level
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
        self._early: tuple[str, Future[Level]] | None = None

    def list_early(self, reference: str, beside: Executor) -> None:
        """List what a reference named last time while the registry is asked what it names now.

        A server with passwords takes a few tenths of a second for each request.
        """
        last = self._store.recall(_LAST, self._key(reference))
        known = self._recall(last.decode()) if last else None
        if last is not None and known is not None:
            folder = self._locate(known.location, known.behind)
            if isinstance(folder, RemoteFolder):
                self._early = (last.decode(), beside.submit(folder.top))

    def unchanged(self, named: Named) -> ModelSnapshot | None:
        """Return the remembered snapshot if registry, listing and store still agree with it."""
        known = self._recall(named.pinned)
        if known is None or known.state != named.state:
            return None
        if self._early is not None and self._early[0] == named.pinned:
            top = self._early[1].result()
        else:
            folder = self._locate(known.location, known.behind)
            top = folder.top() if isinstance(folder, RemoteFolder) else []
        if top != known.top:
            return None
        return known.snapshot if self._store.whole(known.snapshot.digest) else None

    def remember(self, named: Named, details: Details, top: Level, snapshot: ModelSnapshot) -> None:
        """Keep what a model was resolved to, with the listing that it was resolved from."""
        known = _Remembered(named.state, details.location, details.behind, top, snapshot)
        self._store.remember(_PINNED, self._key(named.pinned), encode(known))
        self._store.remember(_LAST, self._key(snapshot.reference), named.pinned.encode())

    def _recall(self, pinned: str) -> _Remembered | None:
        data = self._store.recall(_PINNED, self._key(pinned))
        try:
            return decode(_Remembered, data) if data is not None else None
        except ValueError:  # another version of Cloche wrote it
            return None

    def _key(self, text: str) -> str:
        return f"{self._scope}\n{text}"
