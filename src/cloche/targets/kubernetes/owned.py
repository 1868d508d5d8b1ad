"""What of the objects of a service is Cloche's own, as digests: they tell whether it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import digest_of, encode
from cloche.clients.kubernetes.cluster import OWN
from cloche.targets.kubernetes import fields, names, seen

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.clients.kubernetes.cluster import Cluster


def digests(
    cluster: Cluster, namespace: str, service: str, revisions: Collection[int]
) -> dict[str, str]:
    """Return the digest of the fields that Cloche applied, by object: `Service a`.

    Only objects of the whole service and of the named revisions count: others may go at any time.
    What others add makes no difference; a field that they take over is no longer Cloche's own.
    """
    found = {}
    for kind, body in seen.read(cluster, namespace, service).all():
        number = names.revision_of(body["metadata"].get("labels") or {})
        if number is None or number in revisions:
            own = fields.chosen(body, fields.tree_of(body, OWN))
            found[f"{kind.name} {body['metadata']['name']}"] = digest_of(encode(own))
    return found
