"""Whether the nodes of a cluster take pods with GPUs, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloche.artifacts import ContainerStart, FileEntry, Gpu, PodOptions, Resources, Served
from cloche.errors import ClocheError
from cloche.nvidia import Cuda, Software, Verdict
from cloche.targets.kubernetes.gpus import preflight, releases
from cloche.targets.kubernetes.gpus.survey import Nodes, Survey, survey
from cloche.targets.kubernetes.objects import pod
from cloche.testing import deployment
from fixtures.gpu_nodes import gpu_labels, node

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
ONE = Gpu(1)
NEW, OLD = Software(Cuda(13, 3), "26.07"), Software(Cuda(12, 1), "23.05")
REPOSITORY = deployment().repository
A100 = gpu_labels("NVIDIA-A100-SXM4-80GB", memory=81920, capability=(8, 0), family="ampere")
TAINTED = [{"key": "dedicated", "value": "vision", "effect": "NoSchedule"}]


def template(gpu: Gpu | None = ONE, software: Software = NEW, **options: Any) -> dict[str, Any]:
    made = replace(deployment(), served=Served(resources=Resources(gpu=gpu)))
    start = ContainerStart(b"", {}, ())
    return pod.render(made, start, "amd64", PodOptions(**options), software=software).pod


def looked(*nodes: dict[str, Any], **template_options: Any) -> Survey:
    found = survey(Nodes(nodes, ()), template(**template_options), REPOSITORY)
    assert found is not None
    return found


def problems(*nodes: dict[str, Any], **template_options: Any) -> list[ClocheError]:
    return list(preflight.problems_of(Nodes(nodes), template(**template_options), REPOSITORY))


def problem(*nodes: dict[str, Any], **template_options: Any) -> ClocheError:
    (found,) = problems(*nodes, **template_options)
    assert found.hint
    return found


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────


def test_each_node_has_a_verdict() -> None:
    found = looked(
        node("a", gpu_labels()),
        node("b", gpu_labels(driver="535.183.01")),
        node("c", gpu_labels(driver="470.57.02")),
        node("d", gpu_labels(driver=None)),
        node("e", {}, {"cpu": "8"}),
        node("f", gpu_labels(driver="535.183.01", mode="graphics")),
    )
    assert {each.name: str(each.judgement.verdict) for each in found.nodes} == {
        "a": "native", "b": "forward-compatible", "c": "refused", "d": "unknown", "f": "refused",
    }  # fmt: skip
    assert [each.name for each in found.usable] == ["a", "b", "d"]


def test_one_node_that_may_run_it_is_enough() -> None:
    old = node("old", gpu_labels(driver="470.57.02"))
    for labels in (gpu_labels(), gpu_labels(driver=None), gpu_labels(driver="v580"), {}):
        assert problems(old, node("other", labels)) == []


def test_nothing_is_refused_where_nothing_is_seen() -> None:
    assert list(preflight.problems_of(Nodes(None), template(), REPOSITORY)) == []
    assert survey(Nodes(None), template(), REPOSITORY) is None
    assert survey(Nodes(()), template(gpu=None), REPOSITORY) is None


# ── what is refused ───────────────────────────────────────────────────────────────────────────


def test_drivers_that_are_too_old_everywhere() -> None:
    found = problem(
        node("a", gpu_labels(driver="470.57.02")), node("b", gpu_labels(driver="525.60.13"))
    )
    assert found.code == "target.kubernetes.gpu_nodes"
    assert "a (Tesla-T4): driver 470.57.02 is older than 580.65.06" in found.what
    assert "CUDA 13.3 (Triton 26.07)" in found.what
    assert "580.65.06" in (found.hint or "")
    assert "tritonserver:25.07-py3" in (found.hint or "")


def test_cuda_12_1_on_the_driver_of_cuda_11_8() -> None:
    found = problem(node("a", gpu_labels(driver="520.61.05")), software=OLD)
    assert "driver 520.61.05 is older than 525.60.13, which CUDA 12.1 needs" in found.what
    assert "tritonserver:22.12-py3" in (found.hint or "")


def test_a_gpu_that_is_too_old() -> None:
    found = problem(node("a", gpu_labels("Tesla-V100", capability=(7, 0), family="volta")))
    assert "compute capability 7.0" in found.what
    assert "base" not in (found.hint or "")


def test_a_size_of_mig_that_no_node_has() -> None:
    slices = node("a", A100, {SLICE: "7"})
    assert problems(slices, gpu=Gpu(1, SLICE)) == []
    found = problem(slices, gpu=Gpu(1, "nvidia.com/mig-3g.40gb"))
    assert found.code == "target.kubernetes.gpu_resource"
    assert "mig-3g.40gb" in found.what
    assert SLICE in (found.hint or "")
    nothing = problem(node("a", {}, {"cpu": "8"}))
    assert "device plugin" in (nothing.hint or "")


@pytest.mark.parametrize(
    ("selector", "what", "hint"),
    [
        ({f"{GPU}.product": "Tesla-T5"}, "product=Tesla-T5", "is Tesla-T4"),
        ({"nvidia.com/gpu.produkt": "Tesla-T4"}, "produkt", "Did you mean nvidia.com/gpu.product?"),
        ({"zz": "1"}, "zz=1", "kubectl get nodes"),
        ({f"{GPU}.product": "Tesla-T4", "zone": "b"}, "all of these labels", "product is Tesla-T4"),
    ],
)
def test_a_label_that_no_node_has(selector: dict[str, str], what: str, hint: str) -> None:
    nodes = (node("a", gpu_labels()), node("b", {"zone": "b"}, {"cpu": "8"}))
    found = problem(*nodes, node_selector=selector)
    assert found.code == "target.kubernetes.node_selector"
    assert what in found.what
    assert hint in (found.hint or "")


def test_nodes_of_another_architecture() -> None:
    arm = node("a", gpu_labels() | {"pool": "arm", "kubernetes.io/arch": "arm64"})
    found = problem(arm, node("b", gpu_labels()), node_selector={"pool": "arm"})
    assert found.code == "target.kubernetes.node_selector"
    assert "The nodes with pool=arm are linux/arm64, and the image is for linux/amd64" in found.what


def test_taints_that_are_not_tolerated() -> None:
    found = problem(node("a", gpu_labels(), taints=TAINTED))
    assert found.code == "target.kubernetes.gpu_barred"
    assert "dedicated=vision:NoSchedule is not tolerated" in found.what
    usual = [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    assert problems(node("a", gpu_labels(), taints=usual)) == []
    cordoned = node("a", gpu_labels())
    cordoned["spec"]["unschedulable"] = True
    assert problems(cordoned) == []
    assert looked(cordoned).free == 0


def test_gpus_that_are_too_few_or_too_small() -> None:
    few = problem(node("a", A100, {GPU: "2"}), gpu=Gpu(4))
    assert "it has 2 of the 4" in few.what
    shared = node("a", gpu_labels(replicas=4, sharing="time-slicing"), {GPU: "4"})
    assert "shared (time-slicing)" in problem(shared, gpu=Gpu(2)).what
    large = replace(REPOSITORY, files=(FileEntry("m/1/model.onnx", 20 * 2**30, "sha256:0"),))
    seen = Nodes((node("a", gpu_labels()),))
    (small,) = preflight.problems_of(seen, template(), large)
    assert "its memory is 15" in small.what
    seen = Nodes((node("a", gpu_labels(memory=None)), node("b", gpu_labels())))
    assert list(preflight.problems_of(seen, template(), large)) == []


def test_nodes_that_may_come_are_not_ruled_out() -> None:
    pool = {"eks.amazonaws.com/nodegroup": "gpu"}
    assert problems(node("a", pool, {"cpu": "8"})) == []
    assert problems(node("a", pool, {"cpu": "8"}), node_selector={"gpu": "h100"}) == []
    assert problems(node("a", A100 | pool, {GPU: "2"}), gpu=Gpu(4)) == []
    old = problem(node("a", gpu_labels(driver="470.57.02") | pool))
    assert old.code == "target.kubernetes.gpu_nodes"


# ── what is free ──────────────────────────────────────────────────────────────────────────────


def bound(where: str, count: int) -> dict[str, Any]:
    limits = {"resources": {"limits": {GPU: str(count)}}}
    return {"spec": {"nodeName": where, "containers": [limits]}, "status": {"phase": "Running"}}


def test_gpus_that_are_free_now() -> None:
    nodes = (node("a", A100, {GPU: "8"}), node("b", A100, {GPU: "2"}))
    pods = (bound("a", 3), bound("a", 2), bound("b", 2))
    found = survey(Nodes(nodes, pods), template(Gpu(2)), REPOSITORY)
    assert found is not None
    assert {each.name: each.free for each in found.nodes} == {"a": 3, "b": 0}
    assert found.free == 1  # pods of two, each on one node
    unseen = survey(Nodes(nodes), template(Gpu(2)), REPOSITORY)
    assert unseen is not None
    assert unseen.free is None


# ── the release ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("drivers", "release"),
    [
        ([["580.95.05"], ["610.43.02"]], "26.08"),
        ([["580.95.05"], ["535.183.01"]], "25.07"),
        # One node that runs the newer one is enough; pods go there.
        ([["580.95.05"], ["535.183.01", "580.95.05"]], "26.08"),
        ([["470.57.02"]], "22.12"),
        ([["580.95.05"], []], "26.08"),
        ([[None]], "26.08"),
        ([], "26.08"),
        ([["418.40.04"]], None),
    ],
)
def test_the_newest_release_for_all_clusters(
    drivers: list[list[str | None]], release: str | None
) -> None:
    surveys = [
        looked(*(node(str(n), gpu_labels(driver=each)) for n, each in enumerate(one)))
        for one in drivers
    ]
    found = releases.newest([*surveys, None])
    assert (found and found.name) == release


def test_verdicts_are_said_in_findings() -> None:
    found = looked(
        node("a", gpu_labels()),
        node("b", gpu_labels(driver="v5")),
        node("c", gpu_labels(driver="1")),
    )
    said = [*preflight.verdicts(found), *preflight.free(found, replicas=4)]
    assert [each.code.rpartition("_")[2] for each in said] == ["native", "unknown", "free"]
    assert "nvidia.com/cuda.driver-version.full=v5 has not the form" in said[1].what
    assert found.of(Verdict.UNKNOWN)[0].name == "b"
