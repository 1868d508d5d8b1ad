"""A service that others keep: exported, applied by kubectl, rolled by Kubernetes alone."""

from __future__ import annotations

from pathlib import Path

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "kept"


def test_a_service_without_cloche(
    cluster_user: ClusterUser, gateway_entry: Entry, tmp_path: Path
) -> None:
    ann, model, out = cluster_user, tmp_path / "model.onnx", tmp_path / "out"
    at = ann.through(gateway_entry, NAME)

    def export(factor: float) -> None:
        ann.declare(NAME, scaled_maximum(model, factor), replicas=2, target=at)
        words = ("export", "kubernetes", "--output", out, "--with", "envoy-gateway", "--json")
        ann.user.run(*words, "--target", "test").expect(0)

    def apply() -> None:
        ann.kubectl("apply", "-f", str(out))
        ann.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", seconds=200)

    export(2)
    apply()
    until(lambda: answers(ann, gateway_entry) == {2}, 60)
    with ann.load(gateway_entry, NAME) as load:
        export(3)
        apply()
        until(lambda: load.answers[-1][0] == 3, 60)
        load.more()
        ann.kubectl("rollout", "undo", f"deployment/{NAME}")
        until(lambda: load.answers[-1][0] == 2, 120)
        load.more()
    assert load.failures == []
    assert {value for value, _ in load.answers} == {2, 3}

    refused = ann.run("deploy", "--json").expect(1).json["error"]
    assert "target.kubernetes.foreign" in str(refused)
    assert ann.objects("deployments,configmaps") == []
    ann.kubectl("delete", "-f", str(out), "--ignore-not-found")


def answers(user: ClusterUser, entry: Entry) -> set[float]:
    with user.load(entry, NAME) as load:
        load.more(5)
    return {value for value, _ in load.answers[-5:]}
