"""Watching: the changes of objects from a version on, also over broken connections.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes.errors import not_kubernetes, unreachable
from cloche.clients.kubernetes.lines import lines_of
from cloche.clients.kubernetes.listing import listing, selectors
from cloche.clients.kubernetes.status import decoded, status_of
from cloche.clients.kubernetes.transport import Request
from cloche.clients.patience import AgainError, Attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.kubernetes.kinds import Kind
    from cloche.clients.kubernetes.transport import Transport
    from cloche.errors import ClocheError

_SILENCE = 90.0
"""Seconds without a byte: bookmarks come each minute."""

_SETTLED = 2.0
"""Seconds after which a connection that ends was a good one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an object."""

    type: str
    """`ADDED`, `MODIFIED` or `DELETED`."""
    object: dict[str, Any]
    """As it is after the change, or was before it was deleted."""
    version: str
    """Of the list after the change: watching can go on from it."""


def watch(
    transport: Transport,
    kind: Kind,
    namespace: str | None,
    *,
    labels: str,
    fields: str,
    version: str,
    seconds: int,
) -> Iterator[Change]:
    """Yield changes after a version for so many seconds; with no version, first all as added.

    Raises StaleError if the version is too old: list again.
    """
    if not version:
        now = listing(transport, kind, namespace, selectors(labels, fields))
        for item in now.items:
            yield Change("ADDED", item, item["metadata"]["resourceVersion"])
        version = now.version
    end = time.monotonic() + seconds
    attempts = Attempts(transport.patience, transport.stop)
    while (left := end - time.monotonic()) > 0:
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(left))),
            **selectors(labels, fields),
        }
        request = Request("GET", kind.path(namespace), kind.words(namespace), parameters)
        try:
            for change in _changes(transport, request, attempts):
                version = change.version
                if change.type != "BOOKMARK":
                    yield change
            if end - time.monotonic() > 1:
                raise AgainError(_ended(transport, request))
        except AgainError as again:
            attempts.failed(again)


def _changes(transport: Transport, request: Request, attempts: Attempts) -> Iterator[Change]:
    """Yield the changes that one connection brings, bookmarks among them."""
    with transport.stream(request, silence=_SILENCE) as blocks:
        opened = time.monotonic()
        try:
            for line in lines_of(blocks):
                event = decoded(line)
                found = event.get("object") if isinstance(event, dict) else None
                if not isinstance(found, dict):
                    raise not_kubernetes(transport.asked(request))
                if event["type"] == "ERROR":
                    transport.raise_status(status_of(int(found.get("code") or 500), found), request)
                attempts.reset()
                yield Change(event["type"], found, found["metadata"]["resourceVersion"])
        finally:
            if time.monotonic() - opened > _SETTLED:
                attempts.reset()


def _ended(transport: Transport, request: Request) -> ClocheError:
    server, asked = transport.context.server.url, transport.asked(request)
    return unreachable(server, "it ends each watch at once", asked)
