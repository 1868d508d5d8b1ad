"""Finding the services that Envoy refuses, so that they hold up no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.targets.local.envoy.services import ServiceRoutes


def isolate(
    changed: Sequence[ServiceRoutes], offer: Callable[[Sequence[ServiceRoutes]], str | None]
) -> dict[str, str]:
    """Return Envoy's words for each service that it refuses; it ends with all others.

    `offer` offers services to Envoy, beside what does not change, and returns its words if it
    refuses them. What it took once stays in every later offer, so that no route comes and goes.
    """
    accepted: list[ServiceRoutes] = []
    refused: dict[str, str] = {}

    def attempt(group: Sequence[ServiceRoutes]) -> None:
        words = offer([*accepted, *group])
        if words is None:
            accepted.extend(group)
        elif len(group) <= 1:
            refused.update({service.name: words for service in group})
        else:
            middle = len(group) // 2
            attempt(group[:middle])
            attempt(group[middle:])

    attempt(changed)
    if refused:
        offer(accepted)  # the last file that Envoy reads must be one that it takes
    return refused
