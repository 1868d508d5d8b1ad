"""Lists of objects, whole, from pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes.transport import Request
from cloche.errors import StaleError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloche.clients.kubernetes.kinds import Kind
    from cloche.clients.kubernetes.transport import Transport

_PAGE = 100
"""Objects of one answer: they may have a megabyte each."""
_TIMES = 3
"""How often a list is begun: a version that is being paged may become too old."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects as they were together at one version, from which they can be watched."""

    items: Sequence[dict[str, Any]]
    version: str


def listing(
    transport: Transport,
    kind: Kind,
    namespace: str | None,
    chosen: Mapping[str, str],
    since: str = "",
) -> Listing:
    """Return all objects of a kind that are chosen (by `selectors`).

    An API server answers such a list once its cache is known to be as new as its store, which
    after any write to the store takes up to a tenth of a second:
    https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
    With `since` it answers as soon as its cache has that version.
    """
    for _ in range(_TIMES):
        try:
            return _all_pages(transport, kind, namespace, chosen, since)
        except StaleError as error:
            stale = error
    raise UnavailableError(stale.code, stale.what, where=stale.where, hint="Try again.")


def _all_pages(
    transport: Transport,
    kind: Kind,
    namespace: str | None,
    chosen: Mapping[str, str],
    since: str,
) -> Listing:
    items: list[dict[str, Any]] = []
    own = {"apiVersion": kind.api_version, "kind": kind.name}  # the items of a list lack them
    which = {"resourceVersion": since, "resourceVersionMatch": "NotOlderThan"} if since else {}
    while True:
        path, what = kind.path(namespace), kind.words(namespace)
        page = transport.ask(Request("GET", path, what, {"limit": str(_PAGE), **chosen, **which}))
        items += (own | item for item in page.get("items") or ())
        following = page["metadata"].get("continue")
        if not following:
            return Listing(items, page["metadata"]["resourceVersion"])
        which = {"continue": following}


def selectors(labels: str, fields: str) -> dict[str, str]:
    """Return the parameters that choose among objects."""
    both = {"labelSelector": labels, "fieldSelector": fields}
    return {name: text for name, text in both.items() if text}
