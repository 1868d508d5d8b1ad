"""What a cluster refuses of a service's pods is said before anything changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_kubernetes_target import OPTIONS, placed, target
from test_rights import grant

from cloche.artifacts import Exposure, PodOptions
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ClocheError
from cloche.targets import Desired
from cloche.targets.kubernetes import rights
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected

PLAIN = replace(OPTIONS, priority_class=None, pull_secret=None)
HIGH = replace(PLAIN, priority_class="high")
ROOT = {"Deployment": {"spec": {"template": {"spec": {"hostNetwork": True}}}}}


def asked(options: PodOptions = PLAIN) -> Desired:
    placement = placed(options=options)
    return Desired("digits", asked=placement.repository, asked_pod=placement.pod)


def test_pods_that_are_admitted_leave_nothing(api_cluster: Cluster, namespace: str) -> None:
    target(api_cluster, namespace).admit(asked())
    assert api_cluster.list(kinds.POD, namespace).items == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (HIGH, "kubernetes.admission", "no PriorityClass with name high"),
        (replace(PLAIN, runtime_class="kata"), "kubernetes.admission", 'RuntimeClass "kata"'),
        (replace(PLAIN, patches=ROOT), "kubernetes.admission", "restricted"),
        (replace(PLAIN, patches={"Deployment": {"spec": {"template": {"spec": {"nope": 1}}}}}),
         "kubernetes.unknown_field", "spec.nope"),
    ],
)  # fmt: skip
def test_pods_that_are_refused(
    api_cluster: Cluster, namespace: str, options: PodOptions, code: str, words: str
) -> None:
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    api_cluster.patch(kinds.NAMESPACE, namespace, None, {"metadata": {"labels": enforce}})
    target(api_cluster, namespace).admit(asked())
    with pytest.raises(ClocheError) as caught:
        target(api_cluster, namespace).admit(asked(options))
    assert caught.value.code == code
    assert "the pods of digits in namespace" in caught.value.what
    assert words in caught.value.what


def test_a_pod_that_a_limit_range_refuses(api_cluster: Cluster, namespace: str) -> None:
    spec = {"limits": [{"type": "Container", "max": {"memory": "10Mi"}}]}
    metadata = {"name": "a", "namespace": namespace}
    api_cluster.create(kinds.LIMIT_RANGE, {"metadata": metadata, "spec": spec})
    with pytest.raises(ClocheError, match="maximum memory usage per Container is 10Mi") as caught:
        target(api_cluster, namespace).admit(asked(replace(PLAIN, memory_limit=2**28)))
    assert caught.value.code == "kubernetes.admission"
    with pytest.raises(ClocheError, match="equal to memory limit of 10Mi") as caught:
        target(api_cluster, namespace).admit(asked())
    assert "A LimitRange of the namespace sets that limit" in (caught.value.hint or "")


def test_a_pod_for_which_a_quota_has_no_room(api_cluster: Cluster, namespace: str) -> None:
    hard = {"requests.memory": "10Mi"}
    metadata = {"name": "a", "namespace": namespace}
    api_cluster.create(kinds.RESOURCE_QUOTA, {"metadata": metadata, "spec": {"hard": hard}})
    counted = {"status": {"hard": hard, "used": {"requests.memory": "0"}}}  # as a controller would
    api_cluster.patch(kinds.RESOURCE_QUOTA, "a", namespace, counted, subresource="status")
    with pytest.raises(ClocheError, match="exceeded quota") as caught:
        target(api_cluster, namespace).admit(asked())
    assert caught.value.code == "kubernetes.quota"


def test_who_may_make_no_pods_may_deploy(
    api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    grant(api_cluster, namespace, rights.needed(api_cluster, Exposure()))
    with connected(api_server.kubeconfig_of("ann", "builders")) as ann:
        target(ann, namespace).admit(asked(OPTIONS))


def test_a_secret_to_pull_with_that_is_missing(api_cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ClocheError, match="The secret pull of namespace") as caught:
        target(api_cluster, namespace).admit(asked(replace(PLAIN, pull_secret="pull")))
    assert caught.value.code == "target.kubernetes.pull_secret"
