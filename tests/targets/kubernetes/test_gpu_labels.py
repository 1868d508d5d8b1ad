"""What the labels of nodes say of GPUs, and whether a node takes a pod."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.nvidia import Capability, Driver
from cloche.targets.kubernetes import fitting
from cloche.targets.kubernetes.gpus.labels import Sharing, memory, parse, sharing
from fixtures.gpu_nodes import gpu_labels, node

GPU = "nvidia.com/gpu"
KEYS = sorted({*gpu_labels(), *(f"{GPU}.{each}" for each in ("memory", "replicas"))})


def test_labels_of_today() -> None:
    found = parse(gpu_labels())
    assert found.driver == Driver(580, 95, 5, "580.95.05")
    assert (found.product, found.capability) == ("Tesla-T4", Capability(7, 5))
    assert (found.data_centre, found.odd) == (True, ())


def test_labels_of_earlier_releases() -> None:
    found = parse(gpu_labels(driver="470.57.02", old_labels=True, mode=None))
    assert str(found.driver) == "470.57.02"
    assert found.data_centre is None


@pytest.mark.parametrize(
    ("labels", "odd"),
    [
        ({"nvidia.com/cuda.driver-version.full": "v535"}, "cuda.driver-version.full=v535"),
        ({"nvidia.com/cuda.driver.major": "five"}, "cuda.driver.major=five"),
        ({"nvidia.com/gpu.compute.major": "seven"}, "gpu.compute.major=seven"),
    ],
)
def test_a_label_of_another_form_is_unknown_and_said(labels: dict[str, str], odd: str) -> None:
    found = parse(labels)
    assert (found.driver, found.capability) == (None, None)
    assert found.odd == (f"nvidia.com/{odd}",)


def test_parts_of_the_driver_are_read_where_the_whole_is_odd() -> None:
    found = parse(gpu_labels(driver="535.183.01") | {"nvidia.com/cuda.driver-version.full": "?"})
    assert str(found.driver) == "535.183.01"
    assert found.odd == ("nvidia.com/cuda.driver-version.full=?",)


@given(st.dictionaries(st.sampled_from(KEYS), st.text(max_size=63)))
def test_no_labels_make_the_parser_fail(labels: dict[str, str]) -> None:
    found = parse(labels)
    assert found.driver is None or found.driver.branch >= 100
    memory(labels, GPU)
    sharing(labels, GPU)


@given(st.integers(100, 9999), st.integers(0, 999), st.integers(0, 999), st.booleans())
def test_every_driver_that_is_written_is_read(
    branch: int, minor: int, revision: int, old: bool
) -> None:
    text = f"{branch}.{minor}.{revision:02}"
    assert str(parse(gpu_labels(driver=text, old_labels=old)).driver) == text


@pytest.mark.parametrize(
    ("labels", "resource", "how", "size"),
    [
        (gpu_labels(), GPU, Sharing.NONE, 15360),
        (gpu_labels(replicas=4, sharing="time-slicing"), GPU, Sharing.TIME_SLICING, 15360),
        (gpu_labels(replicas=4, sharing="mps"), GPU, Sharing.MPS, 3840),
        # The device plugin calls them so with renameByDefault; an older one has no other word.
        (gpu_labels(), f"{GPU}.shared", Sharing.NONE, 15360),
        ({}, f"{GPU}.shared", Sharing.TIME_SLICING, None),
        ({f"{GPU}.product": "A100-SHARED"}, GPU, Sharing.TIME_SLICING, None),
        ({"nvidia.com/mig-1g.10gb.memory": "9856"}, "nvidia.com/mig-1g.10gb", None, 9856),
        ({f"{GPU}.memory": "much"}, GPU, None, None),
    ],
)
def test_memory_and_sharing(
    labels: dict[str, str], resource: str, how: Sharing | None, size: int | None
) -> None:
    assert sharing(labels, resource) == how
    assert memory(labels, resource) == (None if size is None else size * 2**20)


# ── nodes and pods ────────────────────────────────────────────────────────────────────────────

TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("tolerations", "admitted"),
    [
        ([], False),
        ([{"key": GPU, "operator": "Exists"}], True),
        ([{"key": GPU, "operator": "Exists", "effect": "NoExecute"}], False),
        ([{"key": GPU, "value": "present", "effect": "NoSchedule"}], True),
        ([{"key": GPU, "value": "absent"}], False),
        ([{"operator": "Exists"}], True),
        ([{"key": "other", "operator": "Exists"}], False),
    ],
)
def test_taints_and_tolerations(tolerations: list[dict[str, Any]], admitted: bool) -> None:
    tainted = node("a", {}, taints=[TAINT])
    found = fitting.untolerated({"tolerations": tolerations}, tainted)
    assert (found is None) == admitted
    assert found is None or f"{GPU}=present:NoSchedule" in found


def test_a_preference_and_a_cordon() -> None:
    assert (
        fitting.untolerated({}, node("a", {}, taints=[TAINT | {"effect": "PreferNoSchedule"}]))
        is None
    )
    cordoned = node("a", {})
    cordoned["spec"]["unschedulable"] = True
    away = node("a", {}, taints=[TAINT | {"key": "node.kubernetes.io/not-ready"}])
    assert [fitting.resting({}, each) for each in (cordoned, away, node("a", {}))] == [
        "it is cordoned", "it is not-ready", None,
    ]  # fmt: skip
    assert [fitting.untolerated({}, each) for each in (cordoned, away)] == [None, None]


def pod(where: str | None, *counts: int, phase: str = "Running", **more: Any) -> dict[str, Any]:
    containers = [{"resources": {"limits": {GPU: str(count)}}} for count in counts]
    return {
        "spec": {"nodeName": where, "containers": containers, **more},
        "status": {"phase": phase},
    }


def test_gpus_that_are_taken() -> None:
    before = {"resources": {"requests": {GPU: "3"}}}
    beside = {**before, "restartPolicy": "Always"}
    pods = [
        pod("a", 1, 1), pod("a", 1, phase="Pending"), pod("b", 2, phase="Failed"), pod(None, 4),
        pod("c", 1, initContainers=[before]), pod("d", 1, initContainers=[beside]), pod("e"),
    ]  # fmt: skip
    assert fitting.taken(pods, GPU) == {"a": 3, "c": 3, "d": 4, "e": 0}
    assert fitting.capacity(node("a", {}, {GPU: "8"}), GPU) == 8
    assert fitting.capacity(node("a", {}, {"cpu": "8"}), GPU) == 0
