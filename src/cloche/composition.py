"""The one place that chooses implementations: of the store, the state and the target of a home."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.settings import Settings
    from cloche.state.state import State
    from cloche.store import Store
    from cloche.targets.target import Target


def store(settings: Settings) -> Store:
    """Return the content-addressed store of this home."""
    from cloche.store import Store

    return Store(settings.layout.store, settings.cache_max_size)


def state(settings: Settings) -> State:
    """Return the record of services, revisions and events of this home."""
    from cloche.state.sqlite import SqliteState

    return SqliteState(settings.layout.state)


def target(settings: Settings) -> Target:
    """Return the local target, which adopts what already runs in this home."""
    from cloche.targets.local.target import LocalTarget

    return LocalTarget(settings, store(settings))
