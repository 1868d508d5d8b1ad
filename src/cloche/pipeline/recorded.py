"""What a service serves, as it was recorded."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from cloche import composition

if TYPE_CHECKING:
    from cloche.artifacts import Deployment
    from cloche.settings import Settings


def deployment_of(service: str, *, settings: Settings) -> Deployment | None:
    """Return the live deployment of a service, or the last that was asked for; None without one."""
    with closing(composition.state(settings)) as state:
        stored = state.service(service)
        if stored is None or stored.record.deleting:
            return None
        revision = state.revision(service, stored.record.shown)
    return revision.deployment if revision is not None else None
