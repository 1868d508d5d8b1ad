"""What a user needs to be allowed: the list is enough, and what is missing is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from test_kubernetes_target import desired, placed, target

from cloche.artifacts import Exposure
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import Kind
from cloche.errors import ClocheError, ErrorGroup
from cloche.state.kubernetes import KubernetesState, Lease
from cloche.targets import Desired
from cloche.targets.kubernetes import rights
from cloche.targets.kubernetes.rights import Right
from cloche.testing import deployment
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import FolderDocuments, connected

ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")


@pytest.fixture
def ann(api_server: ApiServer) -> Iterator[Cluster]:
    """A user without any right."""
    with connected(api_server.kubeconfig_of("ann", "builders")) as cluster:
        yield cluster


def grant(admin: Cluster, namespace: str, granted: tuple[Right, ...]) -> None:
    admin.create(ROLE, rights.role(granted, namespace, "deployer"))
    admin.create(BINDING, {
        "metadata": {"name": "deployer", "namespace": namespace},
        "roleRef": {"apiGroup": ROLE.group, "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": ROLE.group}],
    })  # fmt: skip


def test_the_rights_are_enough(
    api_cluster: Cluster, ann: Cluster, namespace: str, documents: FolderDocuments
) -> None:
    needed = rights.needed(ann, Exposure())
    grant(api_cluster, namespace, needed)
    rights.require(ann, namespace, Exposure())
    here = target(ann, namespace)
    here.admit(Desired("digits", asked=deployment("digits").repository))
    here.apply(desired(placed()))
    assert dict(here.observe("digits").split) == {1: 100}
    with Lease(ann, namespace, "digits"):
        state = KubernetesState(ann, namespace, documents)
        assert state.services() == ()
    here.apply(Desired("digits"))


def test_each_missing_right_is_named(api_cluster: Cluster, ann: Cluster, namespace: str) -> None:
    some = tuple(
        right
        for right in rights.needed(ann, Exposure())
        if right.subresource != "portforward" and (right.verb, right.kind) != ("list", kinds.POD)
    )
    grant(api_cluster, namespace, some)
    with pytest.raises(ErrorGroup) as caught:
        rights.require(ann, namespace, Exposure())
    assert [error.what for error in caught.value.errors] == [
        f"You may not list pods in namespace {namespace}.",
        f"You may not create pods/portforward in namespace {namespace}.",
    ]


def test_one_missing_right_is_one_error(api_cluster: Cluster, ann: Cluster, namespace: str) -> None:
    log = Right("get", kinds.POD, "log")
    needed = (right for right in rights.needed(ann, Exposure()) if right != log)
    grant(api_cluster, namespace, tuple(needed))
    with pytest.raises(ClocheError, match="get pods/log") as caught:
        rights.require(ann, namespace, replace(Exposure(), host=None))
    assert caught.value.code == "kubernetes.rights"
