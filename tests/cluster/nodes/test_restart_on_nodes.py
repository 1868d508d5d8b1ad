"""`cloche restart` of pods on real nodes, under load, with and without an autoscaler."""

from __future__ import annotations

import json
from pathlib import Path

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "again"
AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": NAME},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{NAME}-r2"},
        "minReplicas": 2,
        "maxReplicas": 2,
    },
}


def names_of(user: ClusterUser, revision: int) -> set[str]:
    return {pod["metadata"]["name"] for pod in user.ready_pods(NAME, revision)}


def test_pods_are_replaced_and_no_request_is_lost(
    cluster_user: ClusterUser, gateway_entry: Entry, tmp_path: Path
) -> None:
    ann = cluster_user
    at = ann.through(gateway_entry, NAME)
    for factor in (2, 3):  # the first is then kept warm
        ann.declare(NAME, scaled_maximum(tmp_path / "model.onnx", factor), target=at)
        ann.deploy()
    until(lambda: len(ann.ready_pods(NAME, 2)) == 1)
    warm, before = names_of(ann, 1), names_of(ann, 2)
    assert warm
    until(lambda: ann.reached(gateway_entry, NAME), 60)
    with ann.load(gateway_entry, NAME) as load:
        said = ann.run("restart", NAME).expect(0)
        load.more(50)
        assert f"{NAME}: 1 of 1 replica is new." in said.out
        assert not before & names_of(ann, 2)

        # An autoscaler sets the number, whatever Cloche asked for.
        ann.kubectl("create", "-f", "-", stdin=json.dumps(AUTOSCALER))
        until(lambda: len(ann.ready_pods(NAME, 2)) == 2, 60, every=0.5)
        before = names_of(ann, 2)
        begun = ann.run("restart", NAME, "--no-wait", "--json").expect(0).json
        until(lambda: len(names_of(ann, 2) - before) == 2, 120, every=0.5)
        load.more(50)
    assert load.failures == []
    assert begun["restarted_at"]
    assert warm <= names_of(ann, 1)
    told = ann.run("events", NAME).expect(0).out
    assert told.count("A restart of revision 2 was requested") == 2
    assert "restart" not in ann.run("plan").expect(0).out
    ann.run("delete", NAME, "--yes").expect(0)
