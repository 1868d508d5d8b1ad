"""What a command that acts puts right first: a lost record, and numbers that nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Event, EventKind
from cloche.clients.kubernetes import kinds
from cloche.errors import NotFoundError, StaleError
from cloche.state.kubernetes.recovery import rebuild, sweep
from cloche.targets.kubernetes import observing, seen
from cloche.targets.kubernetes.writing import replicas_of

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state import Hold, Journal
    from cloche.state.kubernetes import KubernetesState

_ROUTING = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.HTTP_ROUTE)


def recover(
    state: KubernetesState,
    journal: Journal,
    cluster: Cluster,
    namespace: str,
    *,
    service: str,
    hold: Hold,
    by: str,
) -> str | None:
    """Put the state of a service right, and return what was done about it, for people.

    Raises ClocheError for a record that cannot be written: `state.newer`, `state.corrupt`,
    `state.lost`.
    """
    state.require_writable(service)
    if state.service(service) is not None:
        if hold.held(service):
            sweep(state, service, now=cluster.now())
        return None
    found = seen.read(cluster, namespace, service, _ROUTING)
    split = observing.asked_split_of(found, service)
    live = max(split, key=lambda number: split[number], default=None)
    try:
        rebuild(state, service, live, _replicas(found, live))
    except NotFoundError:
        return None  # there is no such service
    except StaleError:
        return None  # another command has just made it
    traffic = f"revision {live} has the traffic" if live is not None else "none has traffic"
    what = f"The record of {service} was gone. It was made anew from its revisions: {traffic}."
    at = cluster.now().isoformat(timespec="milliseconds")
    journal.append([Event(at, service, live, EventKind.TROUBLE, what, by)])
    return what


def _replicas(found: seen.Seen, live: int | None) -> int | None:
    """Return how many replicas the live revision should have; None if that is not known."""
    if live is None:
        return None
    workload = found.workload(live)
    return replicas_of(workload) if workload is not None else None
