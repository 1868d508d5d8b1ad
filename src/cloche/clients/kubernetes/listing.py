"""Lists of objects, whole, from pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes.transport import Request
from cloche.errors import StaleError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    transport: Transport, kind: Kind, namespace: str | None, labels: str, fields: str = ""
) -> Listing:
    """Return all objects of a kind that have the labels and fields (selectors; empty for all)."""
    for _ in range(_TIMES):
        try:
            return _all_pages(transport, kind, namespace, labels, fields)
        except StaleError as error:
            stale = error
    raise UnavailableError(stale.code, stale.what, where=stale.where, hint="Try again.")


def _all_pages(
    transport: Transport, kind: Kind, namespace: str | None, labels: str, fields: str
) -> Listing:
    items: list[dict[str, Any]] = []
    own = {"apiVersion": kind.api_version, "kind": kind.name}  # the items of a list lack them
    parameters = {"limit": str(_PAGE), **selectors(labels, fields)}
    while True:
        path, what = kind.path(namespace), kind.words(namespace)
        page = transport.ask(Request("GET", path, what, parameters))
        items += (own | item for item in page.get("items") or ())
        following = page["metadata"].get("continue")
        if not following:
            return Listing(items, page["metadata"]["resourceVersion"])
        parameters["continue"] = following


def selectors(labels: str, fields: str) -> dict[str, str]:
    """Return the parameters that choose among objects."""
    both = {"labelSelector": labels, "fieldSelector": fields}
    return {name: text for name, text in both.items() if text}
