"""Asking a pod by a Job, as far as an API server sees it; nodes run it in tests/cluster/nodes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from test_image_volumes import from_volume
from test_kubernetes_target import placed, target
from test_rights import BINDING, ROLE

from cloche.artifacts import Exposure
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ClocheError, UnavailableError
from cloche.targets import Placement
from cloche.targets.kubernetes import asking, rights
from cloche.targets.kubernetes.objects import asking as objects
from cloche.targets.kubernetes.objects import pod
from cloche.targets.kubernetes.rights import FORWARD, INSTEAD, Right
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected


def target_pod(namespace: str, placement: Placement) -> dict[str, Any]:
    """Return a pod as a controller would have made it."""
    template = pod.numbered(placement.pod or {}, "digits", 1)
    metadata = {**template["metadata"], "name": "digits-r1-a", "namespace": namespace, "uid": "u"}
    return {**template, "metadata": metadata, "status": {"podIP": "10.0.0.1"}}


@pytest.mark.parametrize("way", ["image", "volume"])
def test_the_job_is_admitted_and_is_no_replica(
    api_cluster: Cluster, namespace: str, request: pytest.FixtureRequest, way: str
) -> None:
    placement = placed()
    if way == "volume":
        request.getfixturevalue("mounts_images")
        placement = from_volume()
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    api_cluster.patch(kinds.NAMESPACE, namespace, None, {"metadata": {"labels": enforce}})
    there = target_pod(namespace, placement)
    job = objects.job("cloche-ask-1", there)
    api_cluster.create(kinds.JOB, job, dry_run=True)
    template = job["spec"]["template"]
    body = {
        "metadata": {**template["metadata"], "name": "a", "namespace": namespace},
        "spec": {**template["spec"], "serviceAccountName": "default"},
    }
    made = api_cluster.create(kinds.POD, body)
    assert target(api_cluster, namespace).observe("digits").replicas == ()
    (server,) = made["spec"]["containers"]
    (own,) = (each for each in there["spec"]["containers"] if each["name"] == "server")
    assert server["image"] == own["image"]
    mounted = {mount["mountPath"] for mount in server["volumeMounts"]}
    comes_as_volume = "/models" in {mount["mountPath"] for mount in own["volumeMounts"]}
    models = {"/models", "/cloche/golden"} if comes_as_volume else set()
    assert mounted == {"/cloche/asked"} | models


def test_a_request_is_bytes_for_bytes(api_cluster: Cluster, namespace: str) -> None:
    there = target_pod(namespace, placed())
    asked = {"method": "POST", "path": "/v2", "digest": "x"}
    made = api_cluster.create(
        kinds.CONFIG_MAP, objects.request("a", asked, b"\x00\xff", there), dry_run=True
    )
    data = {name: base64.b64decode(value) for name, value in made["binaryData"].items()}
    assert data["body"] == b"\x00\xff"
    assert json.loads(data["request.json"]) == {**asked, "limit": 40}


def test_a_job_that_does_not_end_is_removed_and_said(
    api_cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LIMIT", 1)
    there = target_pod(namespace, placed())
    with pytest.raises(UnavailableError) as caught:
        asking.send(api_cluster, there, "GET", "/v2", headers={}, body=None)
    assert caught.value.code == "target.kubernetes.ask"
    assert "no pod of it was made" in caught.value.what
    assert all(
        each["metadata"].get("deletionTimestamp")
        for each in api_cluster.list(kinds.JOB, namespace).items
    )
    left = api_cluster.list(kinds.CONFIG_MAP, namespace).items
    assert [each for each in left if "ask" in each["metadata"]["name"]] == []


@pytest.mark.parametrize(
    ("more", "lacks"),
    [
        ((), ["create pods/portforward"]),
        (INSTEAD, []),
        ((FORWARD,), []),
        (INSTEAD[:1], ["create pods/portforward"]),
    ],
)
def test_jobs_do_instead_of_forwarded_ports(
    api_cluster: Cluster,
    namespace: str,
    api_server: ApiServer,
    more: tuple[Right, ...],
    lacks: list[str],
) -> None:
    needed = [each for each in rights.needed(api_cluster, Exposure()) if each != FORWARD]
    api_cluster.create(ROLE, rights.role([*needed, *more], namespace, "asker"))
    api_cluster.create(BINDING, {
        "metadata": {"name": "asker", "namespace": namespace},
        "roleRef": {"apiGroup": ROLE.group, "kind": "Role", "name": "asker"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": ROLE.group}],
    })  # fmt: skip
    with connected(api_server.kubeconfig_of("ann", "builders")) as ann:
        if not lacks:
            rights.require(ann, namespace, Exposure())
            return
        with pytest.raises(ClocheError) as caught:
            rights.require(ann, namespace, Exposure())
    assert all(each in caught.value.what for each in lacks)
