"""Who a cluster takes the caller for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster

_GROUP = "authentication.k8s.io/v1"


def who(cluster: Cluster) -> str:
    """Return the name of the user, as the cluster knows it (SelfSubjectReview)."""
    review = {"apiVersion": _GROUP, "kind": "SelfSubjectReview"}
    answer = cluster.post(f"/apis/{_GROUP}/selfsubjectreviews", review)
    return str(answer["status"]["userInfo"]["username"])
