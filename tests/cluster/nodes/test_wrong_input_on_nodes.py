"""What goes wrong in a cluster: each is said with one clear error, and what is live goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.harness.simulated import SIMULATED
from fixtures.cluster_users import ClusterUser
from fixtures.command_line import scaled_maximum

GONE = "@sha256:" + "1" * 64
TOLERATED = [{"key": SIMULATED, "operator": "Exists"}]


@pytest.fixture
def ann(cluster_user: ClusterUser) -> ClusterUser:
    scaled_maximum(cluster_user.user.folder / "model.onnx", 2)
    return cluster_user


@pytest.fixture
def wrong(ann: ClusterUser) -> Callable[..., Any]:
    """Deploy a service from a file of its own, which fails; return the error."""

    def deploy(service: str, code: int = 1, **declared: Any) -> Any:
        return error_of(ann, written(ann, service, **declared), code)

    return deploy


def written(user: ClusterUser, service: str, **declared: Any) -> Path:
    """Write the file of a service beside those of others."""
    user.declare(service, "./model.onnx", **{"resources": {"cpu": 0.05}, **declared})
    file = user.user.folder / "cloche.yaml"
    return file.rename(file.with_name(f"{service}.yaml"))


def pushed(user: ClusterUser, service: str) -> bool:
    """Return whether the registry has anything of a service."""
    name = f"{user.namespace}/{service}"
    url = f"http://{user.cluster.registry}/v2/{name}/tags/list"
    return httpx.get(url, trust_env=False).status_code == 200


def error_of(user: ClusterUser, file: Path, code: int = 1) -> Any:
    error = user.run("deploy", "-f", file, "--json").expect(code).json["error"]
    print(error["code"], "|", error["what"], "|", error["where"], "|", error["hint"])
    return error


@contextmanager
def made(user: ClusterUser, body: dict[str, Any]) -> Iterator[None]:
    """Have an object in the namespace while the block lasts."""
    user.kubectl("create", "-f", "-", stdin=json.dumps(body))
    try:
        yield
    finally:
        user.kubectl("delete", body["kind"], body["metadata"]["name"])


@pytest.fixture
def refusing(ann: ClusterUser) -> Iterator[Callable[[str], None]]:
    """Have the cluster refuse a kind of objects in the namespace; it is asked as of a webhook."""
    name, made_kinds = ann.namespace, []

    def refuse(resource: str) -> None:
        group = "apps" if resource == "deployments" else ""
        selector = {"matchLabels": {"kubernetes.io/metadata.name": name}}
        rule = {
            "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": [resource],
        }  # fmt: skip
        spec = {
            "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "not on a Friday"}],
        }
        bound = {"policyName": name, "validationActions": ["Deny"]}
        for kind, body in (("", spec), ("Binding", bound)):
            made_kinds.append(kind := f"ValidatingAdmissionPolicy{kind}")
            text = {
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": name}, "spec": body,
            }  # fmt: skip
            ann.cluster.kubectl("create", "-f", "-", stdin=json.dumps(text))

    yield refuse
    for kind in reversed(made_kinds):
        ann.cluster.kubectl("delete", kind, name)


def image(name: str) -> dict[str, Any]:
    """Return a target whose pods run another image."""
    pods = {"spec": {"containers": [{"name": "server", "image": name}]}}
    return {"patches": {"Deployment": {"spec": {"template": pods}}}}


def test_pods_that_never_come_up(ann: ClusterUser, simulated_nodes: Callable[..., None]) -> None:
    """Each command takes up to a minute, and they wait at the same time."""
    mark = ann.namespace
    simulated_nodes(f"{mark}-arm", labels={"kubernetes.io/arch": "arm64", mark: "arm"}, capacity={})
    simulated_nodes(f"{mark}-amd", labels={"kubernetes.io/arch": "amd64", mark: "amd"}, capacity={})
    registry = ann.cluster.registry
    files = {
        "missing": written(ann, "missing", target=image(f"{registry}/none{GONE}")),
        "misspelt": written(ann, "misspelt", target=image("registry.invalid/none:1")),
        "silent": written(ann, "silent", target=image("127.0.0.1:1/none:1")),
        "foreign": written(
            ann, "foreign", target={"node_selector": {mark: "arm"}, "tolerations": TOLERATED}
        ),
        "tainted": written(ann, "tainted", target={"node_selector": {mark: "amd"}}),
        "large": written(ann, "large", resources={"cpu": 500}),
    }
    with ThreadPoolExecutor(3) as pool:
        errors = dict(zip(files, pool.map(partial(error_of, ann), files.values()), strict=True))
    foreign = errors.pop("foreign")
    assert foreign["code"] == "target.kubernetes.node_selector"
    assert "are linux/arm64, and the image is for linux/amd64" in foreign["what"]
    assert {error["code"] for error in errors.values()} == {"rollout.replica"}
    assert all(error["where"].startswith(f"{name}-r1-") for name, error in errors.items())
    said = {name: error["what"] for name, error in errors.items()}
    assert "Its image cannot be pulled" in said["missing"]
    assert "not found" in said["missing"]
    assert "Its image cannot be pulled" in said["misspelt"]
    assert "Its image cannot be pulled" in said["silent"]
    assert "connection refused" in said["silent"]
    assert "untolerated taint" in said["tainted"]
    assert "Insufficient cpu" in said["large"]
    assert "`resources`" in errors["large"]["hint"]
    assert "pull_secret" in errors["missing"]["hint"]


def test_what_the_cluster_does_not_admit(ann: ClusterUser, wrong: Callable[..., Any]) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    with made(ann, {**quota, "spec": {"hard": {"requests.memory": "1Mi"}}}):
        ann.kubectl("wait", "--for=jsonpath={.status.hard}", "resourcequota/few")
        error = wrong("digits")
        assert error["code"] == "target.kubernetes.quota"
        assert "few has room for 0 of the 1 pod" in error["what"]
    with made(ann, {**quota, "spec": {"hard": {"pods": "1"}}}):
        ann.kubectl("wait", "--for=jsonpath={.status.hard}", "resourcequota/few")
        error = wrong("pair", replicas=2)
        assert error["code"] == "target.kubernetes.quota"
        assert "few has room for 1 of the 2 pods" in error["what"]
    limits = {"type": "Container", "max": {"memory": "1Mi"}}
    ranges = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}}
    with made(ann, {**ranges, "spec": {"limits": [limits]}}):
        error = wrong("limited", code=2)  # what a LimitRange allows at most is the default, too
        assert "must be less than or equal to memory limit of 1Mi" in error["what"]
        assert "A LimitRange of the namespace sets that limit" in error["hint"]
        error = wrong("limited", target={"resources": {"limits": {"memory": "1Gi"}}})
        assert "maximum memory usage per Container is 1Mi, but limit is 1Gi" in error["what"]
    for service in ("digits", "pair", "limited"):
        assert ann.objects("deployments", service) == []
        assert not pushed(ann, service)


@pytest.mark.parametrize("resource", ["pods", "deployments"])
def test_a_webhook_that_refuses(
    ann: ClusterUser, wrong: Callable[..., Any], refusing: Callable[[str], None], resource: str
) -> None:
    refusing(resource)
    error = wrong("digits")
    assert "not on a Friday" in json.dumps(error)
    assert ann.objects("deployments", "digits") == []
    assert pushed(ann, "digits") == (resource != "pods"), "a refusal of pods comes before the image"


def test_an_autoscaler_of_someone_else_is_left_alone(ann: ClusterUser) -> None:
    ann.declare("digits", "./model.onnx", replicas=1)
    ann.deploy()
    ann.kubectl("autoscale", "deployment/digits-r1", "--min=2", "--max=3", "--cpu-percent=50")
    ann.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/digits-r1")
    before = ann.versions("horizontalpodautoscalers")
    answer = ann.deploy()
    assert "target.kubernetes.scaled" in {each["code"] for each in answer["findings"]}
    assert len(ann.ready_pods("digits", 1)) == 2
    scaled_maximum(ann.user.folder / "model.onnx", 3)
    assert ann.deploy()["revision"] == 2
    assert ann.versions("horizontalpodautoscalers") == before
