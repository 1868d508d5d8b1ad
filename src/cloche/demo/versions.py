"""A second version under traffic, and the rollback to the first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cloche.demo.load import Load
from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from cloche.client import Client
    from cloche.progress import Progress

REFERENCE = "models:/digits@challenger"
ROLLOUT_SECONDS = 300.0
DRAIN_SECONDS = 120.0
_POLL_SECONDS = 0.1


def there_and_back(
    client: Client, service: dict[str, Any], load: Load, progress: Progress
) -> dict[str, Any]:
    """Deploy the second version of a service and roll it back, under load.

    Each time the load continues until the replicas of the other revision have ended. Returns
    `{from, to, deploy_seconds, seconds}` and the counts of the load; `seconds` is from the request
    for the rollback until the first revision answers every client again.
    """
    name, first = service["service"], service["revision"]
    with load:
        load.wait_for(first)
        began = time.monotonic()
        second = client.deploy(REFERENCE, timeout=ROLLOUT_SECONDS).revision.number
        load.wait_for(second)
        deployed = time.monotonic() - began
        _wait_until_alone(client, name, second, progress)
        began = time.monotonic()
        client.rollback(name, timeout=ROLLOUT_SECONDS)
        load.wait_for(first)
        back = time.monotonic() - began
        _wait_until_alone(client, name, first, progress)
    return {
        "from": second,
        "to": first,
        "deploy_seconds": round(deployed, 2),
        "seconds": round(back, 2),
        **load.counts(),
    }


def _wait_until_alone(client: Client, name: str, revision: int, progress: Progress) -> None:
    """Return when only replicas of `revision` are left."""
    deadline = time.monotonic() + DRAIN_SECONDS
    with progress.task(f"Draining all but revision {revision}"):
        while True:
            items = client.status(name)["replicas"]["items"]
            if all(item["revision"] == revision for item in items):
                return
            if time.monotonic() > deadline:
                left = ", ".join(item["id"] for item in items if item["revision"] != revision)
                what = f"{left} did not end within {DRAIN_SECONDS:.0f} s."
                raise UnavailableError("demo.drain", what, hint="Run the demo again.")
            time.sleep(_POLL_SECONDS)
