"""Following a rollout from its record to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from cloche.artifacts import Standing
from cloche.errors import ClocheError, SupersededError, UnavailableError, from_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloche.artifacts import Event, RevisionStatus
    from cloche.progress import Progress

POLL_SECONDS = 3.0
"""How long to wait for an event before the replicas are looked at."""
RECONNECTS = 5
GOES_ON = "It goes on in the control plane"
STANDS_STILL = "It stands still where it is, and the same command goes on with it"
"""In a cluster, where the command itself carries a rollout out."""
_PAUSE_SECONDS = 0.05
"""Seconds before the first reconnect, doubled for each further one. A killed control plane may
accept connections for a moment longer without answering."""


class Followed(Protocol):
    """The calls of a control plane, engine or client, that following a rollout needs."""

    def revision(self, name: str, number: int) -> RevisionStatus:
        """Return one revision."""

    def events(
        self, service: str | None = None, *, after: str = "", wait: float = 0.0
    ) -> tuple[Event, ...]:
        """Return events after a cursor, waiting for one."""

    def service(self, name: str) -> dict[str, Any]:
        """Return the state of one service."""


def see_through(
    connect: Callable[[], Followed],
    service: str,
    revision: int,
    *,
    progress: Progress,
    timeout: float,
    later: str = GOES_ON,
) -> RevisionStatus:
    """Show the progress of a rollout, and return its revision when it has ended.

    Raises what `follow` raises.
    """
    with progress.task(f"Rolling out revision {revision} of {service}") as task:

        def quiet(control: Followed) -> None:
            waits = _waits_for(control.service(service), revision)
            if waits is not None:
                task.note(waits)

        for event in follow(connect, service, revision, timeout=timeout, quiet=quiet, later=later):
            task.note(event.what)
    return connect().revision(service, revision)


def follow(
    connect: Callable[[], Followed],
    service: str,
    revision: int,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    quiet: Callable[[Followed], None] = lambda _: None,
    later: str = GOES_ON,
) -> Iterator[Event]:
    """Yield the events of the last rollout to a revision until it has ended.

    `quiet` is called whenever no event came for a moment.
    Raises UnavailableError `deploy.timeout` after `timeout` seconds; `later` says what then becomes
    of the rollout. A lost control plane is
    reconnected through `connect`, at most a few times in a row.
    """
    deadline = clock() + timeout
    control, after, failures = connect(), "", 0
    while True:
        try:
            status = control.revision(service, revision)
            ended, began = status.phase.ended, status.rollout and status.rollout.started_at
            remaining = deadline - clock()
            wait = 0.0 if ended else max(0.0, min(POLL_SECONDS, remaining))
            events = control.events(service, after=after, wait=wait)
            for event in events:
                after = event.cursor
                if event.revision == revision and event.at >= (began or ""):
                    yield event
            if not events and not ended:
                quiet(control)
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
            raise _late(service, revision, timeout, later)


def _waits_for(status: dict[str, Any], revision: int) -> str | None:
    """Return what the first replica of a revision that is not ready does, as a sentence."""
    replicas = status["replicas"]["items"]
    unready = (
        replica["detail"]
        for replica in replicas
        if replica["revision"] == revision and replica["phase"] != "ready" and replica["detail"]
    )
    detail = next(unready, None)
    return None if detail is None else f"waiting for a replica: {detail}"


def _late(service: str, revision: int, timeout: float, later: str) -> UnavailableError:
    return UnavailableError(
        "deploy.timeout",
        f"Revision {revision} of {service} was not live after {timeout:.0f} s.",
        where=service,
        hint=f"{later}: `cloche status`, `cloche logs {service}`.",
    )


def error_of(revision: RevisionStatus) -> ClocheError | None:
    """Return why a revision's rollout failed; None if it went live or goes on."""
    service, number = revision.service, revision.number
    if revision.phase is Standing.SUPERSEDED:
        return SupersededError(
            "deploy.superseded",
            f"A later deploy or rollback of {service} took over before revision {number} was live.",
            where=service,
            hint=f"`cloche history {service}` shows both.",
        )
    if revision.phase is not Standing.FAILED:
        return None
    failure = revision.failure or ClocheError("deploy.failed", "It failed.").to_dict()
    error = from_dict(failure)
    return error.with_(
        what="\n".join([error.what, *failure.get("log", ())]),
        where=error.where or f"{service} revision {number}",
        hint=error.hint or f"`cloche logs {service}` shows the output of its replicas.",
    )
