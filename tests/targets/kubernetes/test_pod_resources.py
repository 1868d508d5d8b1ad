"""What a pod asks for is never more than it may take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloche.artifacts import ContainerStart, PodOptions, Resources, Served
from cloche.artifacts.container import SHARED_MEMORY
from cloche.errors import UsageError
from cloche.targets.kubernetes.objects import pod, resources
from cloche.testing import deployment

START = ContainerStart(b"", {SHARED_MEMORY: str(2**24)}, (8000, 8001, 8002))
MIB = 2**20


@pytest.mark.parametrize(
    ("asked", "options", "requests", "limits"),
    [
        (Resources(), PodOptions(memory_limit=100 * MIB, cpu_limit=0.25),
         {"cpu": "250m", "memory": "100Mi"}, {"cpu": "250m", "memory": "100Mi"}),
        (Resources(cpu=2, memory=512 * MIB), PodOptions(memory_limit=256 * MIB, cpu_limit=1),
         {"cpu": "1", "memory": "256Mi"}, {"cpu": "1", "memory": "256Mi"}),
        (Resources(cpu=1, memory=512 * MIB), PodOptions(memory_limit=2048 * MIB, cpu_limit=4),
         {"cpu": "1", "memory": "576Mi"}, {"cpu": "4", "memory": "2048Mi"}),
    ],
)  # fmt: skip
def test_a_limit_lowers_a_request(
    asked: Resources, options: PodOptions, requests: dict[str, str], limits: dict[str, str]
) -> None:
    made = replace(deployment(), served=Served(resources=asked))
    found = resources.of(made, START, options)
    assert found.resources == {"requests": requests, "limits": limits}
    (why,) = (each.why for each in found.reasons if each.field == "pod.resources.requests.memory")
    assert ("All that resources.limits" in why) == (requests["memory"] == limits["memory"])


@pytest.mark.parametrize("own", [None, "tmp"])
def test_an_autoscaler_of_nodes_may_remove_pods_with_their_scratch_volumes(own: str | None) -> None:
    """Each volume that a pod has of its node is named, unless the target says otherwise."""
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
    options = PodOptions(annotations={} if own is None else {key: own})
    made = pod.render(replace(deployment(), image="a/b@sha256:0"), START, "amd64", options).pod
    local = [each["name"] for each in made["spec"]["volumes"] if "emptyDir" in each]
    assert made["metadata"]["annotations"][key] == (own or ",".join(local))


@pytest.mark.parametrize(
    ("template", "lost"),
    [
        (None, "metadata.labels"),
        ({"metadata": None}, "metadata.labels"),
        ({"metadata": {"labels": {"cloche.dev/service": None}}}, "metadata.labels"),
        ({"metadata": {"labels": {"app.kubernetes.io/name": "other"}}}, "metadata.labels"),
        ({"spec": None}, "spec.containers"),
        ({"spec": {"containers": None}}, "spec.containers"),
        ({"spec": {"containers": [{"name": "server", "$patch": "delete"}]}}, "spec.containers"),
        ({"spec": {"containers": "none"}}, "spec.containers"),
        ({"spec": {"nodeSelector": None}}, "spec.nodeSelector"),
        ({"spec": {"serviceAccountName": None}}, "spec.serviceAccountName"),
        ("none", "spec.containers"),
        ({"spec": {"hostNetwork": True}}, None),
    ],
)
def test_a_patch_that_takes_away_what_pods_need_is_refused(template: Any, lost: str | None) -> None:
    options = PodOptions(patches={"Deployment": {"spec": {"template": template}}})
    made = replace(deployment(), image="a/b@sha256:0")
    if lost is None:
        pod.render(made, START, "amd64", options)
        return
    with pytest.raises(UsageError, match=lost) as caught:
        pod.render(made, START, "amd64", options)
    assert caught.value.code == "target.kubernetes.patches"
