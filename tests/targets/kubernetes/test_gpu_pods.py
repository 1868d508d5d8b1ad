"""What pods with a GPU say, and which nodes that keeps them off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.artifacts import ContainerStart, Gpu, PodOptions, Resources, Served
from cloche.nvidia import Capability, Cuda, Software, Verdict, judge
from cloche.nvidia.compatibility import BRANCHES
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.gpus import labels
from cloche.targets.kubernetes.objects import gpus, pod
from cloche.testing import deployment
from fixtures.gpu_nodes import gpu_labels

START = ContainerStart(b"", {}, (8000, 8001, 8002))
SOFTWARE = Software(Cuda(13, 3), "26.07")
SLICE = Gpu(1, "nvidia.com/mig-1g.10gb")
TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
GENERATIONS = {
    "pascal": (6, 0), "volta": (7, 0), "turing": (7, 5), "ampere": (8, 0), "hopper": (9, 0),
}  # fmt: skip


def rendered(
    gpu: Gpu | None, options: PodOptions | None = None, software: Software | None = SOFTWARE
) -> pod.Template:
    made = replace(deployment(), served=Served(resources=Resources(gpu=gpu)))
    return pod.render(made, START, "amd64", options or PodOptions(), software=software)


def test_a_pod_asks_for_its_gpus() -> None:
    template = rendered(Gpu(2))
    (container,) = template.pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert "nvidia.com/gpu" not in container["resources"]["requests"]
    assert {"name": "NVIDIA_TF32_OVERRIDE", "value": "0"} in container["env"]
    assert template.pod["spec"]["tolerations"] == [TAINT]
    assert template.pod["metadata"]["labels"][names.GPU] == "true"
    assert gpus.software_of(template.pod) == SOFTWARE
    why = {reason.field: reason.why for reason in template.reasons}
    assert why["pod.resources.limits.nvidia.com/gpu"] == "resources.gpu"
    assert "taint" in why["pod.tolerations"]
    assert "driver 580.65.06" in why["pod.affinity.nodeAffinity"]
    assert "R535" in why["pod.affinity.nodeAffinity"]


def test_a_slice_is_nobody_elses() -> None:
    template = rendered(SLICE)
    assert template.pod["spec"]["containers"][0]["resources"]["limits"] == {SLICE.resource: "1"}
    assert template.pod["spec"]["tolerations"] == [TAINT]
    apart = template.pod["spec"]["affinity"]["podAntiAffinity"]
    assert len(apart["preferredDuringSchedulingIgnoredDuringExecution"]) == 1


def test_services_keep_apart_where_they_share_gpus() -> None:
    for gpu in (Gpu(1), Gpu(1, "nvidia.com/gpu.shared")):
        apart = rendered(gpu).pod["spec"]["affinity"]["podAntiAffinity"]
        *_, last = apart["preferredDuringSchedulingIgnoredDuringExecution"]
        term = last["podAffinityTerm"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["namespaceSelector"] == {}
        assert term["labelSelector"] == {"matchLabels": {names.GPU: "true"}}


@pytest.mark.parametrize("given", [TAINT, {**TAINT, "effect": "NoExecute"}])
def test_a_toleration_of_the_target_is_kept(given: dict[str, str]) -> None:
    template = rendered(Gpu(1), PodOptions(tolerations=(given,)))
    assert template.pod["spec"]["tolerations"] == [given]
    assert [each.why for each in template.reasons if each.field == "pod.tolerations"] == [
        "The target asks for it."
    ]


def test_a_pod_without_a_gpu_sees_none() -> None:
    template = rendered(None)
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in (
        template.pod["spec"]["containers"][0]["env"]
    )
    assert "nodeAffinity" not in template.pod["spec"]["affinity"]
    assert names.GPU not in template.pod["metadata"]["labels"]
    assert not [each for each in template.pod["metadata"]["annotations"] if "cloche" in each]
    on_cpus = rendered(None, software=Software(triton="24.10"))
    names_of = {each["name"] for each in on_cpus.pod["spec"]["containers"][0]["env"]}
    assert "NVIDIA_VISIBLE_DEVICES" not in names_of


def admits(template: dict[str, Any], node: dict[str, str]) -> bool:
    """Return what a scheduler makes of the affinity."""
    affinity = template["spec"]["affinity"].get("nodeAffinity")
    if affinity is None:
        return True
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert all(each["operator"] == "NotIn" for term in terms for each in term["matchExpressions"])
    return any(
        all(node.get(each["key"]) not in each["values"] for each in term["matchExpressions"])
        for term in terms
    )


@given(
    cuda=st.sampled_from([None, Cuda(11, 8), Cuda(12, 1), Cuda(12, 6), Cuda(13, 0), Cuda(13, 4)]),
    triton=st.sampled_from([None, "22.12", "24.10", "24.12", "26.07"]),
    branch=st.sampled_from([None, *BRANCHES]),
    family=st.sampled_from(list(GENERATIONS)),
    mode=st.sampled_from([None, "compute", "graphics", "display", "unknown"]),
    old_labels=st.booleans(),
    odd=st.booleans(),
)
def test_pods_are_kept_off_exactly_the_nodes_that_are_refused(
    *,
    cuda: Cuda | None,
    triton: str | None,
    branch: int | None,
    family: str,
    mode: str | None,
    old_labels: bool,
    odd: bool,
) -> None:
    """But for early releases of the oldest branch, which a label selector cannot tell."""
    has = None if branch is None else f"v{branch}.99.01" if odd else f"{branch}.99.01"
    node = gpu_labels(
        driver=has, family=family, capability=GENERATIONS[family], mode=mode, old_labels=old_labels
    )
    said, software = labels.parse(node), Software(cuda, triton)
    found = judge(software, said.driver, said.capability, data_centre=said.data_centre)
    template = rendered(Gpu(1), software=software).pod
    assert admits(template, node) == (found.verdict is not Verdict.REFUSED)


def test_the_least_generation_is_that_of_the_release() -> None:
    assert Software(triton="26.07").capability == Capability(7, 5)
    template = rendered(Gpu(1), software=Software(triton="26.07")).pod
    assert not admits(template, gpu_labels(family="volta", capability=(7, 0)))
    assert admits(template, gpu_labels())


@pytest.mark.parametrize(
    ("gpu", "patches", "tf32"),
    [
        (None, {}, False),
        (Gpu(1), {}, False),
        (Gpu(1), {"name": "NVIDIA_TF32_OVERRIDE", "value": "1"}, True),
    ],
)
def test_tf32_is_used_where_it_is_asked_for(
    gpu: Gpu | None, patches: dict[str, str], tf32: bool
) -> None:
    patch = {"containers": [{"name": "server", "env": [patches]}]} if patches else {}
    options = PodOptions(
        patches={"Deployment": {"spec": {"template": {"spec": patch}}}} if patch else {}
    )
    made = replace(deployment("digits"), served=Served(resources=Resources(gpu=gpu)))
    made = replace(made, pod=pod.render(made, START, "amd64", options).pod)
    assert made.tf32 is tf32
