"""The names and labels of objects in a cluster.

A name of a service may be 63 characters long, begin with a digit and end like the name of a
revision. Services of Kubernetes may not (RFC 1035 labels), so such a name gets another stem, which
begins with a hash of it. No two services share a stem, and no stem is the name of a revision.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from cloche.state.kubernetes.names import CLOCHE, MANAGED_BY, NAME, REVISION, SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ADOPTED", "APPLIED", "CLOCHE", "GPU", "MANAGED_BY", "REPLICAS", "RESTARTED", "REVISION",
    "SCHEDULE_LIMIT", "SERVICE", "UNNUMBERED", "chosen_text", "labels", "of_revision", "of_service",
    "revision_of", "selector", "selector_text",
]  # fmt: skip

ADOPTED = "cloche.dev/adopted"
"""The annotation of objects that were made by hand, with what a selector was before, as JSON."""
APPLIED = "cloche.dev/applied"
"""The annotation with the digest of what was applied."""
GPU = "cloche.dev/gpu"
"""The label of pods that have a GPU."""
REPLICAS = "cloche.dev/replicas"
"""The annotation with the numbers of replicas before and after they were last set: `1,2`."""
RESTARTED = "cloche.dev/restarted-at"
"""The annotation of pods with the restart that they were started for."""
SCHEDULE_LIMIT = "cloche.dev/schedule-timeout"
"""The annotation of a Deployment with the seconds that its pods may wait for a node to be added."""

UNNUMBERED = 0
"""In place of a revision's number, in objects that are of all pods of a service: those that Cloche
does not keep have no revisions."""

_LONGEST = 63
_ROOM = len("-r999999")
_HASH = 8
_HASHED = re.compile(rf"c[0-9a-f]{{{_HASH}}}(-|$)")
_LIKE_A_REVISION = re.compile(r"-r\d+$")


def of_service(service: str) -> str:
    """Return the name of the objects of a service: an RFC 1035 label of at most 55 characters."""
    is_plain = (
        service[0].isalpha()
        and len(service) <= _LONGEST - _ROOM
        and not _LIKE_A_REVISION.search(service)
        and not _HASHED.match(service)
    )
    if is_plain:
        return service
    mark = hashlib.sha256(service.encode()).hexdigest()[:_HASH]
    return f"c{mark}-{service}"[: _LONGEST - _ROOM].rstrip("-")


def of_revision(service: str, number: int) -> str:
    """Return the name of the objects of a revision: an RFC 1035 label."""
    return of_service(service) if number == UNNUMBERED else f"{of_service(service)}-r{number}"


def labels(service: str, revision: int | None = None) -> dict[str, str]:
    """Return the labels of an object of a service, or of one of its revisions."""
    return {
        NAME: service,
        MANAGED_BY: CLOCHE,
        **selector(service, revision),
    }


def selector(service: str, revision: int | None = None) -> dict[str, str]:
    """Return the labels by which the pods of a service, or of a revision, are chosen."""
    return {SERVICE: service, **({REVISION: str(revision)} if revision else {})}


def selector_text(service: str) -> str:
    """Return the label selector of all objects of a service."""
    return f"{MANAGED_BY}={CLOCHE},{SERVICE}={service}"


def is_of(service: str, body: Mapping[str, Any]) -> bool:
    """Return whether an object has the labels that `selector_text` chooses."""
    found = body["metadata"].get("labels") or {}
    return found.get(MANAGED_BY) == CLOCHE and found.get(SERVICE) == service


def chosen_text(selector: Mapping[str, Any]) -> str:
    """Return a selector of labels, as a Deployment has it, in the form in which lists ask."""
    words = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        words.append({
            "In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})",
            "Exists": key, "DoesNotExist": f"!{key}",
        }[each["operator"]])  # fmt: skip
    return ",".join(words)


def revision_of(labels_of: Mapping[str, str]) -> int | None:
    """Return the number of the revision that labels name; None for an object of the service."""
    number = labels_of.get(REVISION, "")
    return int(number) if number.isdigit() else None
