"""All that Cloche writes to a cluster, judged by kubeconform with the schemas of its API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_asking_by_job import target_pod
from test_autoscaling import BY_ADAPTER, OPERATED
from test_kubernetes_target import IMAGE, OPTIONS, START, desired, placed, probe_files
from test_plan_objects import exported

from cloche.artifacts import (
    Event,
    EventKind,
    Expose,
    Exposure,
    Operated,
    Origin,
    PodOptions,
    Revision,
    ServiceRecord,
)
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.state.kubernetes import KubernetesJournal, KubernetesState, Lease
from cloche.targets import Desired, Placement
from cloche.targets.kubernetes import rights
from cloche.targets.kubernetes.objects import asking, golden, pod, weights
from cloche.testing import START as BEGAN
from cloche.testing import deployment
from cluster.harness import schemas
from cluster.harness.api_server import ApiServer
from cluster.harness.programs import CHECKS, Programs
from fixtures.cluster_state import FolderDocuments, connected

GATEWAY = Exposure(Expose.GATEWAY, "infra/public", "digits.test", "monitoring")
GPU = PodOptions(
    runtime_class="nvidia",
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
    patches={"Deployment": {"spec": {"template": {"spec": {"containers": [
        {"name": "server", "resources": {"limits": {"nvidia.com/gpu": "1"}}},
        {"name": "beside", "image": "beside.test/b:1"},
    ]}}}}},
)  # fmt: skip
Judge = Callable[[list[dict[str, Any]]], list[str]]


@pytest.fixture(scope="module")
def programs(api_server: ApiServer) -> Programs:
    """The programs of this module; without those of an API server it is skipped, as all are."""
    made = api_server.programs
    if missing := made.missing(CHECKS):
        pytest.skip(f"needs {', '.join(missing)}: make kubernetes-api")
    return made


@pytest.fixture(scope="module")
def everything(programs: Programs) -> Iterator[ApiServer]:
    """An API server that has every kind that Cloche makes."""
    names = ("gateway-crds.yaml", "monitor-crds.yaml", "keda-crds.yaml")
    with ApiServer(programs) as server:
        for name in names:
            server.kubectl.apply(programs.path(name).read_text("utf-8"))
        server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield server


@pytest.fixture(scope="module")
def everywhere(everything: ApiServer) -> Iterator[Cluster]:
    with connected(everything.kubeconfig) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def judge(
    everything: ApiServer, programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> Judge:
    """Return what is wrong with objects, in the words of kubeconform."""
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(lambda path: everything.kubectl("get", "--raw", path), folder)

    def judge(objects: list[dict[str, Any]]) -> list[str]:
        words = ["-strict", "-output", "json", "-schema-location", f"{folder}/{schemas.LOCATION}"]
        done = subprocess.run(
            [programs.path("kubeconform"), *words, "-summary"], check=False, capture_output=True,
            input="\n---\n".join(map(json.dumps, objects)), text=True, timeout=60,
        )  # fmt: skip
        report = json.loads(done.stdout)
        seen = sum(report["summary"].values())
        assert (seen, report["summary"]["skipped"]) == (len(objects), 0), done.stderr
        return [f"{each['kind']} {each['name']}: {each['msg']}" for each in report["resources"]]

    return judge


def from_volume() -> Placement:
    made = replace(deployment(), image=IMAGE)
    source = weights.Source(IMAGE, Origin.SPEC, "")
    return replace(placed(), pod=pod.render(made, START, "amd64", OPTIONS, source=source).pod)


@pytest.mark.parametrize(
    ("placement", "exposure"),
    [
        (placed(), Exposure()),
        (placed("7zip" + "x" * 59), Exposure()),
        (placed(), GATEWAY),
        (placed(), Exposure(Expose.LOADBALANCER)),
        (placed(options=GPU), Exposure()),
        (placed(replicas=1, options=PodOptions()), Exposure()),
        (from_volume(), GATEWAY),
    ],
    ids=["clusterip", "a long name", "gateway", "loadbalancer", "gpu", "plain", "volume"],
)
def test_the_objects_of_a_service(
    everywhere: Cluster, judge: Judge, placement: Placement, exposure: Exposure
) -> None:
    operated = Operated(exposure=exposure)
    wanted = Desired(placement.service, (placement,), {1: 100}, operated)
    objects = exported(everywhere, "vision", wanted)
    objects.append(golden.of(placement, "vision", probe_files(placement.service, 1)))
    objects.append(rights.role(rights.needed(everywhere, exposure), "vision", "cloche"))
    assert judge(objects) == []
    made = {each["kind"] for each in objects}
    assert {"Deployment", "Service", "NetworkPolicy", "PodMonitor", "ConfigMap"} <= made
    assert ("HTTPRoute" in made) == ("BackendTrafficPolicy" in made) == (exposure == GATEWAY)


@pytest.mark.parametrize(
    ("operated", "kind"), [(OPERATED, "ScaledObject"), (BY_ADAPTER, "HorizontalPodAutoscaler")]
)
def test_the_autoscaler_of_a_service(
    everywhere: Cluster, judge: Judge, operated: Operated, kind: str
) -> None:
    ranged = replace(placed(), replicas=operated.replica_range)
    objects = exported(everywhere, "vision", Desired("digits", (ranged,), {1: 100}, operated))
    assert judge(objects) == []
    assert kind in {each["kind"] for each in objects}


def test_the_job_that_asks_a_pod(judge: Judge) -> None:
    there = target_pod("vision", from_volume())
    asked = {"method": "GET", "path": "/v2", "digest": None}
    objects = [asking.request("a", asked, b"body", there), asking.job("a", there)]
    assert judge(objects) == []


def test_what_is_written_by_no_schema_is_found(everywhere: Cluster, judge: Judge) -> None:
    objects = exported(
        everywhere, "vision", replace(desired(placed()), operated=Operated(exposure=GATEWAY))
    )
    for each in objects:
        spec = each.get("spec", each)
        spec["nope"] = 1
    said = judge(objects)
    assert len(said) == len(objects)
    assert all("additional" in each for each in said)


def test_the_objects_of_the_state(
    everything: ApiServer, everywhere: Cluster, judge: Judge, tmp_path: Path
) -> None:
    everything.kubectl("create", "namespace", "state")
    state = KubernetesState(everywhere, "state", FolderDocuments(tmp_path))
    made = replace(deployment(), image=IMAGE, pod=placed().pod)
    state.add_revision(Revision("digits", 1, made.digest, made, BEGAN.isoformat(), "me@here"))
    state.put(ServiceRecord("digits", Operated(), 1), expect=None)
    journal = KubernetesJournal(everywhere, "state")
    journal.append([Event(BEGAN.isoformat(), "digits", 1, EventKind.DEPLOYED, "a", "me@here")])
    with Lease(everywhere, "state", "digits"):
        held = everywhere.get(kinds.LEASE, "cloche-digits", "state")
    assert held is not None
    ours, label = (
        (kinds.CONFIG_MAP, kinds.CONTROLLER_REVISION),
        "app.kubernetes.io/managed-by=cloche",
    )
    objects = [held, *(
        {"apiVersion": kind.api_version, "kind": kind.name, **each}
        for kind in ours
        for each in everywhere.list(kind, "state", labels=label).items
    )]  # fmt: skip
    assert judge(objects) == []
    assert {each["kind"] for each in objects} == {"Lease", "ConfigMap", "ControllerRevision"}
