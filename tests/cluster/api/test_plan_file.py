"""A plan in a file holds as long as nothing of Cloche's own has moved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_kubernetes_target import OPTIONS, desired, placed, target

from cloche.artifacts import (
    ChangeKind,
    DeployPlan,
    Exposure,
    KubernetesPlace,
    Operated,
    PodOptions,
    ServiceRecord,
)
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ConflictError, UsageError
from cloche.pipeline import plan_file
from cloche.pipeline.plan_file import PlanFile
from cloche.state.kubernetes import KubernetesState
from cloche.testing import deployment
from cluster.harness.api_server import ApiServer

RECORD = ServiceRecord("digits", Operated(), 1)
PLAN = DeployPlan("digits", ChangeKind.UPDATE, (), (), ())
Require = Callable[[PlanFile], None]
Step = Callable[[ApiServer, str], object]


@pytest.fixture
def place(api_cluster: Cluster, namespace: str) -> KubernetesPlace:
    pods = PodOptions(node_selector={"disk": "ssd"}, patches={"Deployment": {"spec": {"a": [1]}}})
    return KubernetesPlace(
        "staging", api_cluster.context, namespace, "registry.test/vision", None, Exposure(), pods
    )


@pytest.fixture
def planned(
    api_cluster: Cluster, cluster_state: KubernetesState, place: KubernetesPlace, tmp_path: Path
) -> PlanFile:
    """A plan of a service that is there, written and read again."""
    target(api_cluster, place.namespace).apply(desired(placed()))
    cluster_state.put(RECORD, expect=None)
    basis = plan_file.basis_of(api_cluster, cluster_state, place, "digits")
    path = tmp_path / "plan.json"
    made = replace(deployment("digits"), pod=placed().pod)
    plan_file.write(path, place, made, PLAN, basis)
    found = plan_file.read(path)
    assert (found.place, found.deployment, found.plan) == (place, made, PLAN)
    assert found.basis == basis
    assert found.deployment.digest == made.digest
    return found


@pytest.fixture
def require_current(api_cluster: Cluster, cluster_state: KubernetesState) -> Require:
    return lambda planned: plan_file.require_current(api_cluster, cluster_state, planned)


def patched(kind: str, patch: dict[str, Any]) -> Step:
    words = ("-p", json.dumps(patch), "--type=merge", "--field-manager=someone")
    return lambda server, namespace: server.kubectl("patch", kind, "-n", namespace, *words)


@pytest.mark.parametrize(
    "step",
    [
        lambda *_: None,
        patched("service/digits", {"metadata": {"labels": {"note": "a"}}}),
        patched("deployment/digits-r1", {"metadata": {"annotations": {"note": "a"}}}),
        lambda server, namespace: server.kubectl(
            "scale", "deployment/digits-r1", "--replicas=5", "-n", namespace
        ),
        lambda server, namespace: server.kubectl(
            "create", "service", "clusterip", "other", "--tcp=80", "-n", namespace
        ),
    ],
)
def test_what_is_not_cloches_own_may_move(
    require_current: Require, api_server: ApiServer,
    planned: PlanFile, step: Step,
) -> None:  # fmt: skip
    step(api_server, planned.place.namespace)
    require_current(planned)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (patched("service/digits", {"spec": {"selector": {"cloche.dev/revision": "7"}}}),
         "Service digits"),
        (patched("deployment/digits-r1", {"spec": {"progressDeadlineSeconds": 5000}}),
         "Deployment digits-r1"),
        (lambda server, namespace: server.kubectl("delete", "pdb/digits-r1", "-n", namespace),
         "PodDisruptionBudget digits-r1"),
    ],
)  # fmt: skip
def test_a_field_of_our_own_that_moved_makes_it_stale(
    require_current: Require, api_server: ApiServer,
    planned: PlanFile, step: Step, words: str,
) -> None:  # fmt: skip
    step(api_server, planned.place.namespace)
    with pytest.raises(ConflictError) as caught:
        require_current(planned)
    assert caught.value.code == "plan.stale"
    assert f"These objects have changed: {words}." in caught.value.what


def test_a_record_that_moved_makes_it_stale(
    require_current: Require, cluster_state: KubernetesState, planned: PlanFile
) -> None:
    stored = cluster_state.service("digits")
    assert stored is not None
    cluster_state.put(replace(RECORD, operated=Operated(keep=3)), expect=stored.version)
    with pytest.raises(ConflictError, match="record of the service has changed") as caught:
        require_current(planned)
    assert caught.value.code == "plan.stale"


def test_another_cluster_is_told(require_current: Require, planned: PlanFile) -> None:
    elsewhere = replace(planned, basis=replace(planned.basis, cluster="another"))
    with pytest.raises(ConflictError, match="leads to another cluster"):
        require_current(elsewhere)


def test_a_revision_that_is_kept_warm_may_go(
    api_cluster: Cluster, cluster_state: KubernetesState, place: KubernetesPlace
) -> None:
    here = target(api_cluster, place.namespace)
    here.apply(desired(placed(), placed(number=2), split=1))
    cluster_state.put(RECORD, expect=None)
    basis = plan_file.basis_of(api_cluster, cluster_state, place, "digits")
    planned = PlanFile(1, "0", place, deployment("digits"), PLAN, basis)
    here.apply(desired(placed(options=OPTIONS)))
    plan_file.require_current(api_cluster, cluster_state, planned)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("", "This is no plan"),
        ("{}", "This is no plan"),
        ('{"schema": 1, "cloche": "0.1.0"}', "This is no plan"),
        ('{"schema": 9, "cloche": "7.0.0"}', "made by Cloche 7.0.0"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        plan_file.read(path)
    assert (caught.value.code, caught.value.where) == ("plan.file", str(path))
