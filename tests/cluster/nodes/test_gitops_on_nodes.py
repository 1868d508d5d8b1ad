"""A service that others keep: exported, applied by kubectl or Helm, rolled by Kubernetes alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.harness.errors import MissingError
from cluster.harness.programs import Programs
from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "kept"


class ByKubectl:
    """Somebody who applies files, or a kustomization."""

    def __init__(self, user: ClusterUser, option: str, out: Path) -> None:
        self._user, self._words = user, (option, str(out))

    def apply(self) -> None:
        self._user.kubectl("apply", *self._words)

    def undo(self) -> None:
        self._user.kubectl("rollout", "undo", f"deployment/{NAME}")

    def remove(self) -> None:
        self._user.kubectl("delete", *self._words, "--ignore-not-found")


class ByHelm:
    """Somebody who installs a chart."""

    def __init__(self, user: ClusterUser, out: Path) -> None:
        try:
            self._program = Programs().path("helm")
        except MissingError as error:
            pytest.skip(str(error))
        self._user, self._out = user, str(out)

    def _run(self, *words: str) -> None:
        command = [self._program, *words, "--namespace", self._user.namespace]
        environment = {**os.environ, "KUBECONFIG": str(self._user.cluster.kubeconfig)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr

    def apply(self) -> None:
        self._run("upgrade", "--install", NAME, self._out)

    def undo(self) -> None:
        self._run("rollback", NAME)

    def remove(self) -> None:
        self._run("uninstall", NAME)


FORMS: dict[str, Callable[[ClusterUser, Path], ByKubectl | ByHelm]] = {
    "kubernetes": lambda user, out: ByKubectl(user, "-f", out),
    "kustomize": lambda user, out: ByKubectl(user, "-k", out),
    "helm": ByHelm,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_service_without_cloche(
    cluster_user: ClusterUser, gateway_entry: Entry, tmp_path: Path, form: str
) -> None:
    ann, model, out = cluster_user, tmp_path / "model.onnx", tmp_path / "out"
    at, keeper = ann.through(gateway_entry, NAME), FORMS[form](ann, out)

    def export(factor: float) -> None:
        ann.declare(NAME, scaled_maximum(model, factor), replicas=2, target=at)
        words = ("export", form, "--output", out, "--with", "envoy-gateway", "--json")
        ann.user.run(*words, "--target", "test").expect(0)

    def apply() -> None:
        keeper.apply()
        ann.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", seconds=200)

    export(2)
    apply()
    until(lambda: answers(ann, gateway_entry) == {2}, 60)
    with ann.load(gateway_entry, NAME) as load:
        export(3)
        apply()
        until(lambda: load.answers[-1][0] == 3, 60)
        load.more()
        keeper.undo()
        until(lambda: load.answers[-1][0] == 2, 120)
        load.more()
    assert load.failures == []
    assert {value for value, _ in load.answers} == {2, 3}

    refused = ann.run("deploy", "--json").expect(1).json["error"]
    assert "target.kubernetes.foreign" in str(refused)
    assert ann.objects("deployments,configmaps") == []
    keeper.remove()
    until(lambda: ann.kubectl("get", "deployment", NAME, "--ignore-not-found") == "", 60)


def answers(user: ClusterUser, entry: Entry) -> set[float]:
    with user.load(entry, NAME) as load:
        load.more(5)
    return {value for value, _ in load.answers[-5:]}
