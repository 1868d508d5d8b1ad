"""Following a revision from its record to the end of its rollout."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cloche.artifacts import Phase
from cloche.errors import ClocheError, SupersededError, UnavailableError, from_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloche.artifacts import Event, Revision
    from cloche.clients.control.client import ControlClient

POLL_SECONDS = 10.0
RECONNECTS = 5
_PAUSE_SECONDS = 0.05
"""Before the first reconnect; each further one waits twice as long. A control plane that was killed
may accept connections for a moment longer without answering."""


def follow(
    connect: Callable[[], ControlClient],
    service: str,
    revision: int,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Yield the events of a revision until its rollout has ended.

    `timeout` is in seconds; UnavailableError `deploy.timeout` when it is over first. A control
    plane that goes away is reached again through `connect`, a few times in a row at most.
    """
    deadline = clock() + timeout
    control, after, failures = connect(), 0, 0
    while True:
        try:
            ended = control.revision(service, revision).phase.ended
            remaining = deadline - clock()
            wait = 0.0 if ended else max(0.0, min(POLL_SECONDS, remaining))
            for event in control.events(service, after=after, wait=wait):
                after = event.sequence
                if event.revision == revision:
                    yield event
        except ClocheError as error:
            failures += 1
            if not error.retriable or failures > RECONNECTS:
                raise
            sleep(_PAUSE_SECONDS * 2 ** (failures - 1))
            control = connect()
            continue
        failures = 0
        if ended:
            return
        if remaining <= 0:
            raise _late(service, revision, timeout)


def _late(service: str, revision: int, timeout: float) -> UnavailableError:
    return UnavailableError(
        "deploy.timeout",
        f"Revision {revision} of {service} was not live after {timeout:.0f} s.",
        where=service,
        hint=f"It goes on in the control plane: `cloche status`, `cloche logs {service}`.",
    )


def error_of(revision: Revision) -> ClocheError | None:
    """Return why a rollout ended without its revision going live; None where it did or goes on."""
    service, number = revision.service, revision.number
    if revision.phase is Phase.SUPERSEDED:
        return SupersededError(
            "deploy.superseded",
            f"A later deploy of {service} took over before revision {number} was live.",
            where=service,
            hint=f"`cloche history {service}` shows both.",
        )
    if revision.phase is not Phase.FAILED:
        return None
    failure = revision.failure or {"code": "deploy.failed"}
    error = from_dict(failure)
    return error.with_(
        what="\n".join([error.what, *failure.get("log", ())]),
        where=error.where or f"{service} revision {number}",
        hint=error.hint or f"`cloche logs {service}` shows what its replicas said.",
    )
