"""What brings the weights to pods, by what the nodes of a cluster say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from test_kubernetes_target import IMAGE, OPTIONS, START, placed, target
from test_rights import grant

from cloche.artifacts import Exposure, Origin, PodOptions, WeightsFrom
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ClocheError
from cloche.targets import Desired, Placement
from cloche.targets.kubernetes import image_volumes, rights
from cloche.targets.kubernetes.objects import placing, pod, weights
from cloche.testing import deployment
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected, is_known_to_mount_images

SERVER = IMAGE.replace("0" * 64, "1" * 64)
NEW, OLD = ("v1.36.3", "containerd://2.1.4"), ("v1.34.2", "containerd://2.1.4")
PLAIN = PodOptions(node_selector={"test": "volumes"})
Join = Callable[..., None]


@pytest.fixture
def join(api_cluster: Cluster) -> Iterator[Join]:
    """Have nodes in the cluster, which nothing stands behind."""
    made: list[str] = []

    def join(name: str, says: tuple[str, str], *taints: dict[str, str]) -> None:
        labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "test": "volumes"}
        body: dict[str, Any] = {
            "metadata": {"name": name, "labels": labels}, "spec": {"taints": list(taints)},
        }  # fmt: skip
        api_cluster.create(kinds.NODE, body)
        made.append(name)
        info = {"kubeletVersion": says[0], "containerRuntimeVersion": says[1]}
        node = api_cluster.get(kinds.NODE, name) or {}
        node["status"]["nodeInfo"] |= info
        api_cluster.patch(
            kinds.NODE, name, None, {"status": {"nodeInfo": node["status"]["nodeInfo"]}},
            subresource="status",
        )  # fmt: skip

    yield join
    for name in made:
        api_cluster.delete(kinds.NODE, name, None)


def chosen(
    cluster: Cluster, asked: WeightsFrom, options: PodOptions = PLAIN
) -> image_volumes.Choice:
    choice = image_volumes.chosen(cluster, asked, placing.where(None, options, "amd64"))
    assert choice is not None
    return choice


def from_volume(options: PodOptions = PLAIN) -> Placement:
    made = replace(deployment(), image=IMAGE)
    source = weights.Source(SERVER, Origin.SPEC, "")
    template = pod.render(made, START, "amd64", options, source=source).pod
    return replace(placed(options=options), image=IMAGE, pod=template)


@pytest.mark.usefixtures("mounts_images")
def test_a_volume_where_every_node_can_mount_one(api_cluster: Cluster, join: Join) -> None:
    join("a", NEW)
    join("b", ("v1.35.0-gke.7", "cri-o://1.34.1"))
    for asked, origin in ((WeightsFrom.AUTO, Origin.MEASURED), (WeightsFrom.VOLUME, Origin.SPEC)):
        choice = chosen(api_cluster, asked)
        assert (choice.volume, choice.origin) == (True, origin)
        assert "Each of 2 nodes" in choice.why
    assert image_volumes.chosen(api_cluster, WeightsFrom.IMAGE, {}) is None


@pytest.mark.usefixtures("mounts_images")
@pytest.mark.parametrize(
    ("says", "words"),
    [
        (OLD, "old: kubelet v1.34.2 is older than 1.35"),
        (("v1.36.0", "containerd://1.7.29"), "old: containerd 1.7.29 is older than 2.1"),
        (("v1.36.0", "docker://28.1.0"), "old: docker is not known to mount images"),
    ],
)
def test_one_node_that_cannot_decides(
    api_cluster: Cluster, join: Join, says: tuple[str, str], words: str
) -> None:
    join("new", NEW)
    join("old", says)
    choice = chosen(api_cluster, WeightsFrom.AUTO)
    assert not choice.volume
    assert words in choice.why
    with pytest.raises(ClocheError) as caught:
        chosen(api_cluster, WeightsFrom.VOLUME)
    assert caught.value.code == "target.kubernetes.weights"
    assert words in caught.value.what


@pytest.mark.usefixtures("mounts_images")
def test_only_nodes_count_that_take_its_pods(api_cluster: Cluster, join: Join) -> None:
    join("new", NEW)
    join("kept", OLD, {"key": "own", "value": "yes", "effect": "NoSchedule"})
    assert chosen(api_cluster, WeightsFrom.AUTO).volume
    toleration = {"key": "own", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    assert not chosen(
        api_cluster, WeightsFrom.AUTO, replace(PLAIN, tolerations=(toleration,))
    ).volume
    elsewhere = replace(PLAIN, node_selector={"test": "nowhere"})
    assert "no node for its pods yet" in chosen(api_cluster, WeightsFrom.AUTO, elsewhere).why
    assert chosen(api_cluster, WeightsFrom.VOLUME, elsewhere).volume


def test_an_old_api_server_decides_alone(api_cluster: Cluster, join: Join) -> None:
    join("new", NEW)
    version = api_cluster.version()
    choice = chosen(api_cluster, WeightsFrom.AUTO)
    is_old = not is_known_to_mount_images(api_cluster)
    assert choice.volume is not is_old
    assert (f"new: API server {version} is older than 1.35" in choice.why) is is_old


def test_who_may_not_list_nodes_gets_the_whole_image(
    api_cluster: Cluster, namespace: str, api_server: ApiServer, join: Join
) -> None:
    join("new", NEW)
    grant(api_cluster, namespace, rights.needed(api_cluster, Exposure()))
    with connected(api_server.kubeconfig_of("ann", "builders")) as ann:
        choice = chosen(ann, WeightsFrom.AUTO)
        assert not choice.volume
        assert "You may not list nodes" in choice.why
        assert chosen(ann, WeightsFrom.VOLUME).volume
        target(ann, namespace).admit(Desired("digits", (from_volume(),)))


def test_the_pods_of_a_volume_are_admitted(
    api_cluster: Cluster, namespace: str, join: Join
) -> None:
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    api_cluster.patch(kinds.NAMESPACE, namespace, None, {"metadata": {"labels": enforce}})
    wanted = from_volume()
    assert wanted.pod is not None
    assert pod.images_of(wanted.image, wanted.pod) == {IMAGE, SERVER}
    asked = Desired("digits", asked=wanted.repository, asked_pod=wanted.pod)
    target(api_cluster, namespace).admit(asked)
    here = target(api_cluster, namespace)
    here.apply(Desired("digits", (wanted,), {1: 100}))
    assert here.compare(Desired("digits", (wanted,), {1: 100})) == ()


@pytest.mark.usefixtures("mounts_images")
def test_a_revision_from_a_volume_needs_a_node_that_mounts_it(
    api_cluster: Cluster, namespace: str, join: Join
) -> None:
    here, wanted = target(api_cluster, namespace), Desired("digits", (from_volume(),))
    join("old", OLD)
    with pytest.raises(ClocheError) as caught:
        here.admit(wanted)
    assert caught.value.code == "target.kubernetes.weights"
    assert "no node can mount one any more" in caught.value.what
    here.admit(Desired("digits", (placed(options=OPTIONS),)))
    join("new", NEW)
    here.admit(wanted)
