"""What a home has recorded of its services."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cloche import composition, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import Deployment
    from cloche.control import ControlPlane
    from cloche.settings import Settings


def deployment_of(service: str, *, settings: Settings) -> Deployment | None:
    """Return the live deployment of a service, or the last that was asked for; None without one."""
    with closing(composition.state(settings)) as state:
        stored = state.service(service)
        if stored is None or stored.record.deleting:
            return None
        revision = state.revision(service, stored.record.shown)
    return revision.deployment if revision is not None else None


@contextmanager
def at_rest(settings: Settings) -> Iterator[ControlPlane]:
    """Yield the queries of a control plane over a home that `cloche down` ended; nothing starts.

    They answer from the moment of this call on what is recorded then.
    """
    from cloche.control import Engine

    with (
        closing(composition.recorded_state(settings)) as state,
        closing(composition.recorded_journal(settings)) as journal,
    ):
        target = composition.resting_target(settings, refusals.ENDED)
        verifier, limit = composition.verifier(settings), settings.cache_max_size
        yield Engine(state, journal, target, verifier, keep_limit=limit)
