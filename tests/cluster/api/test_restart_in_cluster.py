"""A restart as the API server sees it: one annotation, which nobody takes for a difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_kubernetes_target import (
    OPTIONS,
    START,
    Held,
    desired,
    objects,
    placed,
    target,
    versions,
)

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.targets import ApplyError, Desired
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import pod
from cloche.testing import deployment
from cluster.harness.api_server import ApiServer


def restarted(wanted: Desired, at: str) -> Desired:
    one, *others = wanted.placements
    return replace(wanted, placements=(replace(one, restarted_at=at), *others))


def workload(cluster: Cluster, namespace: str, number: int = 1) -> dict[str, Any]:
    found = cluster.get(kinds.DEPLOYMENT, f"digits-r{number}", namespace)
    assert found is not None
    return found


def annotations(cluster: Cluster, namespace: str, number: int = 1) -> dict[str, str]:
    template = workload(cluster, namespace, number)["spec"]["template"]["metadata"]
    given: dict[str, str] = template.get("annotations") or {}
    before = pod.render(deployment(), START, "amd64", OPTIONS).pod["metadata"]["annotations"]
    return {name: value for name, value in given.items() if name not in before}


def test_it_is_an_annotation_of_the_pods_of_one_revision(
    api_cluster: Cluster, namespace: str
) -> None:
    here, wanted = target(api_cluster, namespace), desired(placed(), placed(number=2))
    here.apply(wanted)
    before = workload(api_cluster, namespace)
    here.apply(restarted(wanted, "one"))
    after = workload(api_cluster, namespace)
    assert annotations(api_cluster, namespace) == {names.RESTARTED: "one"}
    assert annotations(api_cluster, namespace, 2) == {}
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    owners = {each["manager"] for each in after["metadata"]["managedFields"]}
    assert "cloche-restart" in owners
    rolling = after["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}

    there = versions(objects(api_cluster, namespace))
    here.apply(restarted(wanted, "one"))
    assert versions(objects(api_cluster, namespace)) == there
    assert here.compare(restarted(wanted, "one")) == ()
    here.apply(restarted(wanted, "two"))
    assert annotations(api_cluster, namespace) == {names.RESTARTED: "two"}


def test_it_is_kept_by_what_is_applied_later_and_is_no_drift(
    api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    """Also that of a user with kubectl."""
    here, wanted = target(api_cluster, namespace), desired(placed())
    here.apply(restarted(wanted, "one"))
    api_server.kubectl("rollout", "restart", "deployment/digits-r1", "-n", namespace)
    both = annotations(api_cluster, namespace)
    assert set(both) == {names.RESTARTED, "kubectl.kubernetes.io/restartedAt"}
    assert here.compare(wanted) == ()
    slower = replace(placed(), start_limit=900.0)  # a field of the Deployment itself
    changes = here.compare(desired(slower))
    (changed,) = (each for each in changes if each.kind == "Deployment")
    assert [field.path for field in changed.fields] == ["spec.progressDeadlineSeconds"]
    here.apply(desired(slower))
    assert annotations(api_cluster, namespace) == both
    assert here.compare(desired(slower)) == ()


def test_the_replicas_of_an_autoscaler_stay_as_they_are(
    api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    here, wanted = target(api_cluster, namespace), desired(placed())
    here.apply(wanted)
    api_server.kubectl("scale", "deployment/digits-r1", "--replicas=5", "-n", namespace)
    here.apply(restarted(wanted, "one"))
    assert workload(api_cluster, namespace)["spec"]["replicas"] == 5
    assert annotations(api_cluster, namespace) == {names.RESTARTED: "one"}


def test_only_who_may_act_restarts(api_cluster: Cluster, namespace: str) -> None:
    hold, wanted = Held(), desired(placed())
    here = target(api_cluster, namespace, hold)
    here.apply(wanted)
    hold.mine = False
    with pytest.raises(ApplyError) as caught:
        here.apply(restarted(wanted, "one"))
    assert caught.value.by_revision[1].code == "target.not_held"
    assert annotations(api_cluster, namespace) == {}
