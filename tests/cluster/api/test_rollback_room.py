"""A rollback to pods that do not run is judged as a deploy is, before anything is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from test_kubernetes_target import IMAGE, START, target

from cloche.artifacts import (
    Cause,
    Deployment,
    Gpu,
    Operated,
    Outcome,
    Phase,
    PodOptions,
    ReplicaRange,
    Resources,
    Revision,
    Rollout,
    Served,
    ServiceRecord,
)
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.control import Engine
from cloche.errors import ClocheError
from cloche.nvidia import Cuda, Software
from cloche.targets.kubernetes.objects import pod
from cloche.testing import FixedVerifier, MemoryJournal, MemoryState, deployment
from fixtures.gpu_nodes import gpu_labels

OPTIONS = PodOptions(tolerations=({"key": "cloche.test/simulated", "operator": "Exists"},))
AT = "2026-11-26T10:00:00+00:00"


def made(model: str, gpu: Gpu | None) -> Deployment:
    served = Served(resources=Resources(gpu=gpu))
    found = replace(deployment("digits", model), image=IMAGE, served=served)
    software = Software(Cuda(13, 3), "26.07") if gpu is not None else None
    return replace(found, pod=pod.render(found, START, "amd64", OPTIONS, software=software).pod)


def engine(cluster: Cluster, namespace: str, gpu: Gpu | None = None) -> Engine:
    """Return an engine of a service whose second revision is live."""
    state, operated = MemoryState(), Operated(replicas=ReplicaRange.exactly(2))
    for number, model in ((1, "a"), (2, "b")):
        found = made(model, gpu)
        state.add_revision(Revision("digits", number, found.digest, found, AT))
    rollouts = [
        Rollout(to, previous, Cause.DEPLOY, "", AT, Phase.ENDED, AT, weight=100,
                outcome=Outcome.COMPLETED, ended_at=AT)
        for to, previous in ((1, None), (2, 1))
    ]  # fmt: skip
    state.put(ServiceRecord("digits", operated, 2, tuple(rollouts)), expect=None)
    here = target(cluster, namespace)
    return Engine(state, MemoryJournal(), here, FixedVerifier())


def refused(here: Engine) -> str:
    before = here.history("digits")["rollouts"]
    with pytest.raises(ClocheError) as caught:
        here.rollback("digits", 1)
    assert here.history("digits")["rollouts"] == before
    return caught.value.code


def test_a_driver_that_became_too_old(
    api_cluster: Cluster, namespace: str, api_nodes: Callable[..., None]
) -> None:
    """The node with the newer one has gone since."""
    here = engine(api_cluster, namespace, Gpu(1))
    api_nodes("old", gpu_labels(driver="470.57.02"), gpu="1")
    assert refused(here) == "target.kubernetes.gpu_nodes"
    api_nodes("new", gpu_labels(), gpu="1")
    assert here.rollback("digits", 1)["revision"] == 1


def test_a_quota_without_room(api_cluster: Cluster, namespace: str) -> None:
    here = engine(api_cluster, namespace)
    quota = {"metadata": {"name": "few", "namespace": namespace}, "spec": {"hard": {"pods": "1"}}}
    api_cluster.create(kinds.RESOURCE_QUOTA, quota)
    status = {"status": {"hard": {"pods": "1"}, "used": {"pods": "0"}}}
    api_cluster.patch(kinds.RESOURCE_QUOTA, "few", namespace, status, subresource="status")
    assert refused(here) == "target.kubernetes.quota"
