"""A user who may not forward ports: Jobs ask the pods, on real nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import Exposure
from cloche.clients.kubernetes.cluster import connect
from cloche.targets.kubernetes import rights
from cluster.harness.real_cluster import RealCluster
from fixtures.cluster_users import KINDS, ClusterUser
from fixtures.command_line import scaled_maximum
from fixtures.streams import COUNTDOWN, STREAM, repository

NAME, USER = "asked", "carl"


@pytest.fixture
def carl(cluster_users: Callable[[], ClusterUser]) -> ClusterUser:
    """Somebody who may do all that a deploy needs but forward ports."""
    made = cluster_users()
    if not made.cluster.nodes:
        pytest.skip("needs the cluster of this machine: unset CLOCHE_TEST_KUBECONFIG")
    group = "rbac.authorization.k8s.io"
    with connect(made.cluster.context, {"KUBECONFIG": str(made.cluster.kubeconfig)}) as cluster:
        needed = rights.needed(cluster, Exposure())
    kept = [each for each in needed if each != rights.FORWARD]
    role = rights.role([*kept, *rights.INSTEAD], made.namespace, "asker")
    binding = {
        "apiVersion": f"{group}/v1", "kind": "RoleBinding",
        "metadata": {"name": "asker", "namespace": made.namespace},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "asker"},
        "subjects": [{"kind": "User", "name": USER, "apiGroup": group}],
    }  # fmt: skip
    for body in (role, binding):
        made.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    path = RealCluster().control.kubeconfig_of(USER)
    environment = made.user.environment | {"KUBECONFIG": str(path)}
    return replace(made, user=replace(made.user, environment=environment))


@pytest.mark.parametrize("weights", ["image", "volume"])
def test_the_golden_request_is_asked_by_a_job(
    carl: ClusterUser, tmp_path: Path, weights: str
) -> None:
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    carl.cluster.kubectl("label", "namespace", carl.namespace, enforce)
    carl.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 2), target={"weights": weights})
    done = carl.deploy()
    assert (done["phase"], done["verified"]) == ("live", True)
    verified = carl.run("verify", NAME, "--json").expect(0).json
    assert verified["passed"]
    assert verified["outputs"][0]["mismatched"] == 0
    given = tmp_path / "rows.json"
    given.write_text(
        json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [3, 0]}]})
    )
    answer = carl.run("infer", NAME, "--input", given, "--json").expect(0)
    assert "6" in answer.out
    assert carl.kubectl("get", "jobs", "-o", "name") == ""
    assert "cloche-ask-" not in carl.kubectl("get", "configmaps", "-o", "name")
    carl.run("delete", NAME, "--yes").expect(0)
    assert carl.objects(KINDS) == []


def test_a_model_that_streams_is_asked_over_grpc_by_a_job(carl: ClusterUser) -> None:
    made = repository(carl.user.folder / "countdown", "countdown", STREAM, COUNTDOWN)
    carl.declare("countdown", made)
    done = carl.deploy()
    assert (done["phase"], done["verified"]) == ("live", True)
    assert carl.run("verify", "countdown", "--json").expect(0).json["passed"]
    answers = carl.user.run(
        "infer", "countdown", "-i", "-", "--json", "--target", "test", given='{"n": [3]}'
    ).expect(0)
    assert [int(each) for each in re.findall(r'"data": \[\s*(\d)', answers.out)] == [2, 1, 0]
    refused = carl.user.run(
        "infer", "countdown", "-i", "-", "--target", "test", given='{"n": [[3]]}'
    )
    assert refused.code != 0
    assert carl.kubectl("get", "jobs", "-o", "name") == ""
