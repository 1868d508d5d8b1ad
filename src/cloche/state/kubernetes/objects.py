"""Objects of the state on a cluster: whose they are, which version, and writes that are told apart.

Each write carries a mark of its own. A write whose answer was lost is sent again by the client, and
then stands in its own way: by the mark the client knows it. And a cluster gives no new version to
an object that is written as it is: with the mark each write is a change.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from cloche.errors import ConflictError, NotFoundError, StaleError
from cloche.state.kubernetes import names

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.state.kubernetes.names import Part

Body = dict[str, Any]


def new_body(kind: Kind, namespace: str, service: str, part: Part) -> Body:
    """Return an object of the state, still without what it holds."""
    metadata = {
        "name": names.object_name(service, part),
        "namespace": namespace,
        "labels": names.labels(service, part),
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def version_of(body: Body) -> str:
    """Return the version of an object; no write, not even after a deletion, gives it again."""
    return str(body["metadata"]["resourceVersion"])


def uid_of(body: Body) -> str:
    """Return what tells an object from another one of the same name."""
    return str(body["metadata"]["uid"])


def title_of(body: Body) -> str:
    """Return the kind, namespace and name of an object, for people."""
    metadata = body["metadata"]
    return f"{body['kind']} {metadata.get('namespace')}/{metadata['name']}"


def require_ours(body: Body, service: str, part: Part) -> None:
    """Raise ConflictError `state.foreign` for an object that lacks the labels of ours."""
    found = body["metadata"].get("labels") or {}
    wanted = names.labels(service, part)
    if any(found.get(key) != wanted[key] for key in (names.MANAGED_BY, names.SERVICE, names.PART)):
        raise ConflictError(
            "state.foreign",
            f"{title_of(body)} is not Cloche's: it lacks the labels that Cloche's objects have.",
            where=service,
            hint="Give the service another name or namespace, or remove that object if nobody"
            " needs it.",
        )


def write_marked(cluster: Cluster, kind: Kind, body: Body) -> Body:
    """Create an object, or replace the version that `body` names; return it as it is now.

    Raises StaleError if another write came first.
    """
    metadata = body["metadata"]
    annotations = {**(metadata.get("annotations") or {}), names.WRITE: secrets.token_hex(8)}
    marked = {**body, "metadata": {**metadata, "annotations": annotations}}
    if not metadata.get("resourceVersion"):
        return cluster.create(kind, marked)
    try:
        return cluster.replace(kind, marked)
    except NotFoundError as error:
        what = f"{title_of(body)} was removed by someone else."
        raise StaleError("state.stale", what, where=title_of(body)) from error
