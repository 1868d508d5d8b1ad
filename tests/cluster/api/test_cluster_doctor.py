"""`cloche doctor --target`, against an API server alone."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche.artifacts import PodOptions
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ClocheError
from cloche.targets.kubernetes import pulling, requirements
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer
from fixtures import gpu_base
from fixtures.command_line import User, a_user
from fixtures.gpu_nodes import gpu_labels

Doctor = Callable[..., dict[str, list[dict[str, Any]]]]
TAINT = {"key": "cloche.test/simulated", "operator": "Exists"}


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody who has only a cloche.yaml."""
    with a_user() as user:
        yield user


@pytest.fixture
def doctor(user: User, api_server: ApiServer, namespace: str, open_registry: str) -> Doctor:
    """Examine a target; return what was found, by the name of the check."""

    def examine(
        *words: str, code: int = 0, kubeconfig: Path | None = None, spec: Any = None, **target: Any
    ) -> dict[str, list[dict[str, Any]]]:
        place = {
            "kind": "kubernetes", "context": CONTEXT, "namespace": namespace,
            "registry": f"{open_registry}/doctor", "tolerations": [TAINT], **target,
        }  # fmt: skip
        text = {
            "name": "digits",
            "model": "./none.onnx",
            **(spec or {}),
            "targets": {"test": place},
        }
        (user.folder / "cloche.yaml").write_text(json.dumps(text))
        variables = {"KUBECONFIG": str(kubeconfig or api_server.kubeconfig)}
        outcome = user.run("doctor", "--target", "test", "--json", *words, **variables)
        found = outcome.expect(code).json
        assert found["ok"] == (code == 0)
        checks: dict[str, list[dict[str, Any]]] = {}
        for each in found["checks"]:
            checks.setdefault(each["name"], []).append(each)
        return checks

    return examine


def secret(
    name: str, namespace: str, host: str, kind: str = "kubernetes.io/dockerconfigjson"
) -> Any:
    given = json.dumps({"auths": {host: {"auth": b64encode(b"ann:word-1234").decode()}}})
    data = {".dockerconfigjson": b64encode(given.encode()).decode()}
    metadata = {"name": name, "namespace": namespace}
    kind = "kubernetes.io/dockerconfigjson"
    return {"kind": "Secret", "type": kind, "data": data, "metadata": metadata}


def test_all_is_well(doctor: Doctor, namespace: str) -> None:
    checks = doctor()
    assert list(checks) == [
        "api server", "namespace", "rights", "service", "quota", "autoscaling", "registry",
        "pull secret", "nodes",
    ]  # fmt: skip
    assert {each["state"] for found in checks.values() for each in found} == {"ok"}
    assert "admin" in checks["api server"][0]["what"]


def test_each_thing_that_is_wrong_is_told(
    doctor: Doctor, api_server: ApiServer, api_cluster: Cluster, namespace: str
) -> None:
    api_cluster.create(kinds.SECRET, secret("other", namespace, "registry.example.com"))
    checks = doctor(
        code=1, spec={"replicas": {"min": 1, "max": 3}, "autoscale": {"queue_time": "5ms"}},
        registry="127.0.0.1:1/x", pull_secret="other", node_selector={"disk": "ssd"},
        expose="gateway", gateway="infra/public", host="digits.example.com",
    )  # fmt: skip
    failed = {name for name, found in checks.items() if found[0]["state"] == "failed"}
    assert failed == {"service", "autoscaling", "registry", "pull secret"}
    assert all(each["hint"] for name in failed for each in checks[name])
    assert "Gateway API" in checks["service"][0]["what"]
    assert "127.0.0.1:1" in checks["pull secret"][0]["what"]
    lacks = doctor(code=1, kubeconfig=api_server.kubeconfig_of("nobody"))
    assert len(lacks["rights"]) > 10
    assert any("create deployments.apps" in each["what"] for each in lacks["rights"])
    assert "not known" in lacks["nodes"][0]["what"]
    gone = doctor(code=1, namespace="gone")
    assert gone["namespace"][0]["state"] == "failed"


def test_the_secret_that_nodes_pull_with(
    doctor: Doctor, api_cluster: Cluster, namespace: str, open_registry: str
) -> None:
    missing = doctor(code=1, pull_secret="none")["pull secret"][0]
    assert "is not there" in missing["what"]
    body = secret("wrong", namespace, open_registry) | {"type": "Opaque"}
    api_cluster.create(kinds.SECRET, body)
    assert "type Opaque" in doctor(code=1, pull_secret="wrong")["pull secret"][0]["what"]
    api_cluster.create(kinds.SECRET, secret("right", namespace, f"https://{open_registry}/v1/"))
    right = doctor(pull_secret="right")["pull secret"][0]
    assert "word-1234" not in json.dumps(right)


def test_nodes_with_gpus(doctor: Doctor, api_nodes: Callable[..., None], tmp_path: Path) -> None:
    api_nodes("new", gpu_labels(), gpu="2")
    api_nodes("old", gpu_labels(driver="470.57.02"), gpu="1")
    asked = {"spec": {"resources": {"gpu": 1}}}
    chosen, total, *nodes, free = doctor(**asked)["nodes"]
    assert total["what"] == "nvidia.com/gpu: 3 of 3 free."
    assert "tritonserver:26.08" in chosen["what"]
    assert [each["state"] for each in nodes] == ["ok", "warning"]
    assert "new (Tesla-T4): native" in nodes[0]["what"]
    assert "For now it is not-ready" in nodes[0]["what"]
    assert "free for 0 of 1" in free["what"]
    assert nodes[0]["where"].startswith("https://docs.nvidia.com/")
    assert "old (Tesla-T4): refused: driver 470.57.02 is older" in nodes[1]["what"]
    older = gpu_base.write(tmp_path / "base", "22.12", "11.8.0")
    both = doctor(base=str(older), **asked)["nodes"][1:3]
    assert all(": native: " in each["what"] for each in both)
    wrong = doctor(code=1, base="cpu", **asked)["nodes"]
    assert wrong[0]["state"] == "failed"
    size = {"resources": {"gpu": {"resource": "nvidia.com/mig-9g.80gb"}}}
    assert "No node hands out" in doctor(code=1, spec=size)["nodes"][-1]["what"]


def test_a_quota_that_is_used_up(doctor: Doctor, api_cluster: Cluster, namespace: str) -> None:
    body = {"metadata": {"name": "few", "namespace": namespace}, "spec": {"hard": {"pods": "1"}}}
    api_cluster.create(kinds.RESOURCE_QUOTA, body)
    status = {"status": {"hard": {"pods": "1"}, "used": {"pods": "1"}}}
    api_cluster.patch(kinds.RESOURCE_QUOTA, "few", namespace, status, subresource="status")
    (found,) = doctor(code=1)["quota"]
    assert "room for 0 of the 1 pod" in found["what"]


@pytest.mark.parametrize(
    ("text", "severity"),
    [("v1.33.0", "note"), ("v1.37.4+k3s1", "note"), ("v1.38.0", "warning"), ("odd", "note")],
)
def test_versions(
    api_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, text: str, severity: str
) -> None:
    monkeypatch.setattr(Cluster, "version", lambda _: text)
    assert str(requirements.check_version(api_cluster).severity) == severity


def test_a_version_that_is_too_old(api_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "version", lambda _: "v1.32.9")
    with pytest.raises(ClocheError, match=r"1\.33") as caught:
        requirements.check_version(api_cluster)
    assert caught.value.code == "kubernetes.version"


def test_a_pull_that_nobody_makes_leaves_nothing(api_cluster: Cluster, namespace: str) -> None:
    """No controller makes pods here."""
    with pytest.raises(ClocheError, match="no pod was made"):
        pulling.pull(
            api_cluster, namespace, "registry.test/x:1", PodOptions(), "amd64", pause=lambda _: None
        )
    jobs = api_cluster.list(kinds.JOB, namespace).items
    assert [each for each in jobs if not each["metadata"].get("deletionTimestamp")] == []


def test_free_gpus_without_the_right_to_see_pods(
    doctor: Doctor, api_server: ApiServer, api_nodes: Callable[..., None], namespace: str
) -> None:
    api_nodes("new", gpu_labels(), gpu="2")
    kubectl, role = api_server.kubectl, f"nodes-{namespace}"
    kubectl("create", "clusterrole", role, "--verb=list", "--resource=nodes")
    kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", "--user=eve")
    seen = doctor(code=1, kubeconfig=api_server.kubeconfig_of("eve"),
                  spec={"resources": {"gpu": 1}})["nodes"]  # fmt: skip
    said = " ".join(each["what"] for each in seen)
    assert "an unknown number of 2 free" in said
    assert "new (Tesla-T4): native" in said
