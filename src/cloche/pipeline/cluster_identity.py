"""Whether a context still leads to the cluster that it led to before.

Contexts have names like `prod` on every machine, and a kubeconfig may be replaced. What was
deployed to one cluster is never taken for what is in another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import artifacts, files
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.errors import ConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.clients.kubernetes.cluster import Cluster


def require_same(cluster: Cluster, known: Path) -> None:
    """Raise ConflictError `target.kubernetes.other_cluster` if a context leads elsewhere now.

    `known` is the file with what each context led to; a new context is added to it. Where the
    namespace `kube-system` may not be seen, nothing is known.
    """
    found, before = uid_of(cluster), _read(known)
    if found is None:
        return
    expected = before.get(cluster.context)
    if expected is None:
        known.parent.mkdir(parents=True, exist_ok=True)
        written = artifacts.encode({**before, cluster.context: found})
        files.write_atomically(known, written, private=True)
    elif expected != found:
        raise ConflictError(
            "target.kubernetes.other_cluster",
            f"The context {cluster.context} leads to another cluster than before:"
            f" {cluster.server}.",
            where=f"context {cluster.context}",
            hint=f"If that is meant, remove {cluster.context!r} from {known}.",
        )


def uid_of(cluster: Cluster) -> str | None:
    """Return what tells a cluster from all others; None where it may not be seen."""
    try:
        system = cluster.get(kinds.NAMESPACE, "kube-system")
    except ForbiddenError:
        return None
    return None if system is None else str(system["metadata"]["uid"])


def _read(known: Path) -> dict[str, str]:
    try:
        return artifacts.decode(dict[str, str], known.read_bytes())
    except (OSError, ValueError):
        return {}
