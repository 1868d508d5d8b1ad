"""What a cluster refuses of a service's pods is said before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from test_kubernetes_target import OPTIONS, desired, placed, target
from test_rights import ROLE, grant

from cloche.artifacts import Capacity, Exposure, Operated, PodOptions, ReplicaRange
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ClocheError, ConflictError
from cloche.targets import Desired
from cloche.targets.kubernetes import rights
from cloche.targets.kubernetes.rights import Right
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected

MAKE_PODS = Right("create", kinds.POD)
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


def quota(
    cluster: Cluster, namespace: str, hard: dict[str, str], used: dict[str, str], **spec: Any
) -> None:
    """Have a quota, counted as a controller would count it."""
    metadata = {"name": "few", "namespace": namespace}
    body = {"metadata": metadata, "spec": {"hard": hard, **spec}}
    cluster.create(kinds.RESOURCE_QUOTA, body)
    counted = {"status": {"hard": hard, "used": used}}
    cluster.patch(kinds.RESOURCE_QUOTA, "few", namespace, counted, subresource="status")


def three(capacity: Capacity | None = None) -> Desired:
    operated = Operated(replicas=ReplicaRange.exactly(3), capacity=capacity)
    return replace(asked(), operated=operated)


@pytest.mark.parametrize(
    ("hard", "used", "words"),
    [
        ({"pods": "4"}, {"pods": "2"}, "room for 2 of the 3 pods of a new revision of digits:"),
        ({"pods": "2"}, {"pods": "2"}, "digits: 2 of 2 pods are taken"),
        ({"requests.cpu": "1"}, {"requests.cpu": "500m"}, "room for 2 of the 3 pods"),
        ({"memory": "1Gi"}, {"memory": "900Mi"}, "room for 0 of the 3 pods"),
        ({"limits.cpu": "6"}, {"limits.cpu": "2"}, "room for 2 of the 3 pods"),
        ({"count/pods": "3"}, {"count/pods": "1"}, "room for 2 of the 3 pods"),
    ],
)  # fmt: skip
def test_a_quota_that_is_too_small_for_all_pods(
    api_cluster: Cluster, namespace: str, hard: dict[str, str], used: dict[str, str], words: str
) -> None:
    quota(api_cluster, namespace, hard, used)
    with pytest.raises(ConflictError) as caught:
        target(api_cluster, namespace).require_room(three())
    assert caught.value.code == "target.kubernetes.quota"
    assert words in caught.value.what


def test_a_range_whose_least_the_quota_forbids(api_cluster: Cluster, namespace: str) -> None:
    here = target(api_cluster, namespace)
    quota(api_cluster, namespace, {"pods": "4"}, {"pods": "2"})
    operated = Operated(replicas=ReplicaRange(3, 9))
    with pytest.raises(ConflictError, match="room for 2 of the 3 pods"):
        here.require_room(replace(three(), operated=operated))
    here.require_room(replace(three(), operated=replace(operated, replicas=ReplicaRange(2, 9))))


def test_nodes_of_another_architecture(
    api_cluster: Cluster, namespace: str, api_nodes: Callable[..., None]
) -> None:
    """As where a service is shipped to."""
    here = target(api_cluster, namespace)
    api_nodes("arm", {"kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"})
    with pytest.raises(ClocheError, match="The nodes are linux/arm64"):
        here.require_room(three())
    api_nodes("amd", {"kubernetes.io/os": "linux"})
    here.require_room(three())


def test_a_full_quota_is_no_matter_where_nothing_new_comes_up(
    api_cluster: Cluster, namespace: str
) -> None:
    here, live = target(api_cluster, namespace), desired(placed(replicas=3, options=PLAIN))
    here.apply(live)
    quota(api_cluster, namespace, {"pods": "3"}, {"pods": "3"})
    here.admit(three())
    assert here.compare(live) == ()


def test_a_quota_with_room_or_for_other_pods(api_cluster: Cluster, namespace: str) -> None:
    here = target(api_cluster, namespace)
    here.require_room(three())
    quota(api_cluster, namespace, {"pods": "5", "services": "1"}, {"pods": "2", "services": "1"})
    here.require_room(three())
    api_cluster.delete(kinds.RESOURCE_QUOTA, "few", namespace)
    quota(api_cluster, namespace, {"pods": "1"}, {"pods": "1"}, scopes=["Terminating"])
    here.require_room(three())


def test_the_pods_of_a_new_revision_come_beside_the_live_ones_alone(
    api_cluster: Cluster, namespace: str
) -> None:
    """Those of a revision that is only warm go before, and those that are replaced."""
    here = target(api_cluster, namespace)
    here.apply(desired(*(placed(number=n, replicas=3, options=PLAIN) for n in (1, 2)), split=2))
    for number in (1, 2):  # as a controller would
        api_cluster.patch(
            kinds.DEPLOYMENT, f"digits-r{number}", namespace, {"status": {"replicas": 3}},
            subresource="status",
        )  # fmt: skip
    quota(api_cluster, namespace, {"pods": "6"}, {"pods": "6"})
    here.require_room(three())
    here.require_room(three(Capacity.RECREATE))
    api_cluster.patch(kinds.RESOURCE_QUOTA, "few", namespace, {"status": {"used": {"pods": "7"}}},
                      subresource="status")  # fmt: skip
    with pytest.raises(ConflictError, match="room for 2 of the 3 pods"):
        here.require_room(three())
    here.require_room(three(Capacity.RECREATE))
    # As many as the live one has now, whoever set the number.
    api_cluster.patch(
        kinds.DEPLOYMENT, "digits-r2", namespace, {"spec": {"replicas": 5}}, subresource="scale"
    )
    with pytest.raises(ConflictError, match="room for 2 of the 5 pods"):
        here.require_room(three())


def test_a_plan_of_a_new_revision_says_that_a_quota_is_too_small(
    api_cluster: Cluster, namespace: str
) -> None:
    here, live = target(api_cluster, namespace), desired(placed(replicas=3, options=PLAIN))
    here.apply(live)
    quota(api_cluster, namespace, {"pods": "4"}, {"pods": "3"})
    assert here.compare(live) == (), "nothing new is to come up"
    second = desired(placed(number=2, replicas=3, options=PLAIN), split=2)
    with pytest.raises(ConflictError, match="room for 1 of the 3 pods"):
        here.compare(second)


def test_a_quota_that_may_not_be_read_is_asked_for_one_pod(
    api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    quota(api_cluster, namespace, {"pods": "1"}, {"pods": "1"})
    needed = rights.needed(api_cluster, Exposure())
    grant(api_cluster, namespace, needed)
    with connected(api_server.kubeconfig_of("ann", "builders")) as ann:
        target(ann, namespace).require_room(three())
        api_cluster.apply(
            ROLE, rights.role([*needed, MAKE_PODS], namespace, "deployer"), force=True
        )
        with pytest.raises(ConflictError) as caught:
            target(ann, namespace).require_room(three())
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


def test_a_model_that_loads_on_gpus_alone(api_cluster: Cluster, namespace: str) -> None:
    asks = replace(asked(), asked=replace(placed().repository, gpu_models=("digits",)))
    with pytest.raises(ClocheError, match="digits asks for a GPU") as caught:
        target(api_cluster, namespace).admit(asks)
    assert caught.value.code == "target.kubernetes.gpu"
    assert "gpu: 1" in (caught.value.hint or "")
