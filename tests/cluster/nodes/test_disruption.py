"""Nothing is lost of a service with two pods while it changes, and while its cluster does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import end, scaled_maximum
from fixtures.load import Load
from fixtures.local import until

NAME = "steady"


@pytest.fixture
def serving(cluster_user: ClusterUser, gateway_entry: Entry, tmp_path: Path) -> Iterator[Load]:
    """Load on a service of two pods, of which nothing may be lost."""
    at = cluster_user.through(gateway_entry, NAME)
    cluster_user.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 2), replicas=2, target=at)
    cluster_user.deploy()
    until(lambda: len(cluster_user.ready_pods(NAME, 1)) == 2)
    with cluster_user.load(gateway_entry, NAME) as load:
        yield load
        load.more()
    assert load.failures == []


def two_others(user: ClusterUser, before: set[str], revision: int = 1) -> bool:
    """Return whether two pods are ready, one of which was not there before."""
    names = {pod["metadata"]["name"] for pod in user.ready_pods(NAME, revision)}
    return len(names) == 2 and bool(names - before)


def test_pods_come_and_go(cluster_user: ClusterUser, serving: Load) -> None:
    cluster_user.run("scale", NAME, "3").expect(0)
    until(lambda: len(cluster_user.ready_pods(NAME, 1)) == 3, 60, every=0.5)
    serving.more(100)
    cluster_user.run("scale", NAME, "2").expect(0)
    until(lambda: len(cluster_user.ready_pods(NAME, 1)) == 2, 60, every=0.5)
    serving.more(100)
    before = {pod["metadata"]["name"] for pod in cluster_user.ready_pods(NAME, 1)}
    cluster_user.kubectl("delete", "pod", min(before))
    until(lambda: two_others(cluster_user, before), 60, every=0.5)


def test_a_server_is_killed(cluster_user: ClusterUser, serving: Load) -> None:
    pod = cluster_user.ready_pods(NAME, 1)[0]
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    os.kill(server_of(uid), 9)

    def restarted() -> bool:
        return any(
            each["metadata"]["name"] == name
            and each["status"]["containerStatuses"][0]["restartCount"] == 1
            for each in cluster_user.ready_pods(NAME, 1)
        )

    until(restarted, 60, every=0.5)


def server_of(uid: str) -> int:
    """Return the process of this machine that is the server of a pod."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            control = (path / "cgroup").read_text()
            name = (path / "comm").read_text().strip()
        except OSError:
            continue
        if name == "tritonserver" and (uid in control or uid.replace("-", "_") in control):
            return int(path.name)
    pytest.skip("needs nodes on this machine")


def test_a_node_is_drained(cluster_user: ClusterUser, serving: Load) -> None:
    before = {pod["metadata"]["name"] for pod in cluster_user.ready_pods(NAME, 1)}
    node = cluster_user.ready_pods(NAME, 1)[0]["spec"]["nodeName"]
    only = f"--pod-selector=cloche.dev/service={NAME}"
    # What a pod has on its node is scratch; kubectl asks before it deletes that of any pod.
    drain = ("drain", node, only, "--delete-emptydir-data", "--timeout=120s")
    try:
        cluster_user.cluster.kubectl(*drain, seconds=150)
        until(lambda: two_others(cluster_user, before), 60, every=0.5)
    finally:
        cluster_user.cluster.kubectl("uncordon", node)


def test_the_api_server_is_killed_during_a_rollout(
    cluster_user: ClusterUser, gateway_entry: Entry, serving: Load, tmp_path: Path
) -> None:
    api = cluster_user.cluster.api
    if api is None:
        pytest.skip("needs a cluster that may be broken: unset CLOCHE_TEST_KUBECONFIG")
    at = cluster_user.through(gateway_entry, NAME)
    cluster_user.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 3), replicas=2, target=at)
    command = cluster_user.begin("deploy", "--json")
    until(lambda: len(cluster_user.objects("deployments", NAME)) == 2, 60)
    api.restart()
    done = end(command, limit=240)
    if done.code != 0:
        assert done.json["error"]["retriable"]
        cluster_user.deploy()
    serving.more(50)
    assert serving.answers[-1][0] == 3


@pytest.mark.parametrize("cascade", ["background", "orphan"])
def test_a_warm_deployment_is_deleted_and_its_revision_asked_back_at_once(
    cluster_user: ClusterUser, gateway_entry: Entry, serving: Load, tmp_path: Path, cascade: str
) -> None:
    """Its pods are ready for a moment longer: those of the new Deployment have to take over."""
    at = cluster_user.through(gateway_entry, NAME)
    cluster_user.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 3), replicas=2, target=at)
    cluster_user.deploy()
    serving.more(50)
    assert serving.answers[-1][0] == 3
    words = ("delete", "deployment", f"{NAME}-r1", f"--cascade={cascade}", "--wait=false")
    cluster_user.kubectl(*words)
    assert cluster_user.run("rollback", NAME, "--json").expect(0).json["revision"] == 1
    serving.more(300)
    assert serving.answers[-1][0] == 2
