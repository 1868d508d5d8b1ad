"""GPUs in plan and deploy, by the command line, against an API server that has nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloche.clients.kubernetes.cluster import Cluster
from cloche.pipeline import gpu_release
from cloche.spec import load
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer
from fixtures import gpu_base
from fixtures.command_line import User, a_user, scaled_maximum
from fixtures.commands import Outcome
from fixtures.gpu_nodes import gpu_labels

GPU = "nvidia.com/gpu"
TAINT = {"key": "cloche.test/simulated", "operator": "Exists"}
Nodes = Callable[..., None]
Declare = Callable[..., None]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody with a model."""
    with a_user() as user:
        scaled_maximum(user.folder / "model.onnx", 2)
        yield user


@pytest.fixture
def declare(user: User, namespace: str, tmp_path: Path) -> Declare:
    """Write the cloche.yaml of a service that asks for a GPU."""
    base = gpu_base.write(tmp_path / "base")

    def write(gpu: Any = 1, *, others: Any = None, **target: Any) -> None:
        place = {
            "kind": "kubernetes", "context": CONTEXT, "namespace": namespace,
            "registry": "127.0.0.1:1/vision", "base": str(base), "tolerations": [TAINT], **target,
        }  # fmt: skip
        text = {
            "name": "digits", "model": "./model.onnx", "resources": {"gpu": gpu},
        }  # fmt: skip
        place = {key: value for key, value in place.items() if value is not None}
        text["targets"] = {"test": place, **(others or {})}
        (user.folder / "cloche.yaml").write_text(json.dumps(text))

    write()
    return write


@pytest.fixture
def run(user: User, api_server: ApiServer, declare: Declare) -> Callable[..., Outcome]:
    """Run a command for the target."""

    def command(verb: str, *words: str, kubeconfig: Path | None = None) -> Outcome:
        variables = {"KUBECONFIG": str(kubeconfig or api_server.kubeconfig)}
        return user.run(verb, *words, "--target", "test", "--json", **variables)

    return command


@pytest.fixture
def refused(run: Callable[..., Outcome]) -> Callable[..., Any]:
    """Return the error of a command."""
    return lambda verb="plan": run(verb).expect(1).json["error"]


def findings(plan: Any) -> dict[str, Any]:
    return {each["code"].removeprefix("target.kubernetes."): each for each in plan["findings"]}


def test_a_plan_names_the_nodes_that_run_it(run: Callable[..., Outcome], api_nodes: Nodes) -> None:
    api_nodes("new", gpu_labels(), gpu="1")
    api_nodes("old", gpu_labels(driver="470.57.02"), gpu="1")
    api_nodes("odd", gpu_labels(driver="five"), gpu="1")
    plan = run("plan").expect(0).json
    said = findings(plan)
    assert "new (Tesla-T4)" in said["gpu_native"]["what"]
    assert "driver 470.57.02 is older than 580.65.06" in said["gpu_refused"]["what"]
    assert "cuda.driver-version.full=five has not the form" in said["gpu_unknown"]["what"]
    (made,) = (each for each in plan["objects"] if each["kind"] == "Deployment")
    limits = {each["path"].rpartition(".limits.")[2] for each in made["fields"]}
    assert any(GPU in each for each in limits)
    why = {each["field"]: each["why"] for each in plan["reasons"]}
    assert "580.65.06" in why["pod.affinity.nodeAffinity"]


def test_a_driver_that_is_too_old_everywhere(
    refused: Callable[..., Any], declare: Declare, api_nodes: Nodes, open_registry: str
) -> None:
    api_nodes("old", gpu_labels(driver="470.57.02"), gpu="1")
    declare(registry=f"{open_registry}/gpus")
    for verb in ("plan", "deploy"):
        error = refused(verb)
        assert error["code"] == "target.kubernetes.gpu_nodes"
        assert "old (Tesla-T4): driver 470.57.02" in error["what"]
        assert "tritonserver:22.12-py3" in error["hint"]
    known = httpx.get(f"http://{open_registry}/v2/_catalog", trust_env=False).json()
    assert not any(name.startswith("gpus/") for name in known["repositories"])


def test_wrong_input(
    run: Callable[..., Outcome], refused: Callable[..., Any], declare: Declare, api_nodes: Nodes
) -> None:
    api_nodes("a", gpu_labels(), **{"gpu": "1", "mig-1g.10gb": "7"})
    declare({"resource": "nvidia.com/mig-9g.80gb"})
    assert refused()["code"] == "target.kubernetes.gpu_resource"
    declare({"resource": "nvidia.com/mig-1g.10gb", "count": 2})
    run("plan").expect(0)
    declare(node_selector={f"{GPU}.product": "Tesla-T5"})
    error = refused()
    assert (error["code"], "Tesla-T4" in error["hint"]) == ("target.kubernetes.node_selector", True)
    declare(tolerations=[])
    error = refused()
    assert error["code"] == "target.kubernetes.gpu_barred"
    assert "cloche.test/simulated" in error["what"]
    declare(base="cpu")
    assert refused()["code"] == "image.base.cuda"


def test_the_image_is_the_same_with_and_without_a_gpu(
    run: Callable[..., Outcome], declare: Declare, api_nodes: Nodes
) -> None:
    api_nodes("new", gpu_labels(), gpu="1")
    images = set()
    for gpu in (0, 1):
        declare(gpu)
        changes = run("plan").expect(0).json["changes"]
        images |= {each["after"] for each in changes if each["field"] == "image"}
    assert len(images) == 1


def test_without_the_right_to_list_nodes(
    run: Callable[..., Outcome], api_server: ApiServer, namespace: str, api_nodes: Nodes
) -> None:
    api_nodes("old", gpu_labels(driver="470.57.02"), gpu="1")
    api_server.kubectl(
        "-n", namespace, "create", "rolebinding", "all", "--clusterrole=cluster-admin", "--user=ann"
    )
    plan = run("plan", kubeconfig=api_server.kubeconfig_of("ann")).expect(0).json
    assert "gpus_unknown" in findings(plan)
    assert "gpu_refused" not in findings(plan)


@pytest.fixture
def chosen(
    user: User, declare: Declare, api_server: ApiServer, api_cluster: Cluster
) -> Callable[..., gpu_release.GpuRelease]:
    """Return the release that is chosen for a service, whose other targets are given."""

    def choose(gpu: int = 1, **others: Any) -> gpu_release.GpuRelease:
        declare(gpu, base=None, node_selector={"pool": "new"}, others=others)
        spec = load(user.folder / "cloche.yaml")
        place = spec.targets["test"].place("test")
        environment = {"KUBECONFIG": str(api_server.kubeconfig)}
        return gpu_release.choose(spec, place, api_cluster, environment)

    return choose


def test_the_release_is_that_for_all_targets(
    chosen: Callable[..., gpu_release.GpuRelease], api_nodes: Nodes, namespace: str
) -> None:
    api_nodes("new", gpu_labels() | {"pool": "new"}, gpu="1")
    api_nodes("old", gpu_labels(driver="535.183.01") | {"pool": "old"}, gpu="1")
    other = {
        "kind": "kubernetes", "context": CONTEXT, "namespace": namespace, "tolerations": [TAINT],
        "registry": "127.0.0.1:1/vision", "node_selector": {"pool": "old"},
    }  # fmt: skip
    alone = chosen()
    assert alone.base == "nvcr.io/nvidia/tritonserver:26.08-py3"
    assert "test (580.95.05)" in alone.reasons[0].why
    both = chosen(prod=other)
    assert both.base == "nvcr.io/nvidia/tritonserver:25.07-py3"
    assert "prod (535.183.01)" in both.reasons[0].why
    (warned,) = both.findings
    assert "older than the security fixes" in warned.what
    assert chosen(prod={**other, "base": "cpu"}) == alone
    assert chosen(prod={**other, "resources": {"gpu": 0}}) == alone
    assert chosen(0, prod=other) == gpu_release.GpuRelease()
    unasked = chosen(prod={**other, "context": "gone"})
    assert unasked.base == alone.base
    (said,) = unasked.findings
    assert "without the drivers of prod" in said.what
    assert "nothing is known of prod" in unasked.reasons[0].why
