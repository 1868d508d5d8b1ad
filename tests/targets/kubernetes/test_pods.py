"""Pods as replicas, and what is said of those that are not ready."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from cloche.targets import ReplicaPhase
from cloche.targets.kubernetes import names, pods
from cloche.targets.kubernetes.objects.probes import MARK
from cloche.testing import START

SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": START.isoformat()}
READY = {"type": "Ready", "status": "True", "lastTransitionTime": START.isoformat()}
UNREADY = {"type": "Ready", "status": "False", "lastTransitionTime": START.isoformat()}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(reason: str, times: int) -> dict[str, Any]:
    last = {"terminated": {"reason": reason, "exitCode": 137}}
    return {**waiting("CrashLoopBackOff"), "lastState": last, "restartCount": times}


def pod(container: dict[str, Any], *conditions: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "digits-r1-x", "uid": "1", "labels": names.labels("digits", 1),
            "creationTimestamp": START.isoformat(), **metadata,
        },
        "spec": {"containers": [
            {"name": "server", "resources": {"limits": {"memory": "512Mi"}}},
        ]},
        "status": {
            "phase": "Pending", "conditions": list(conditions),
            "containerStatuses": [{"name": "server", **container}] if container else [],
        },
    }  # fmt: skip


def seen(one: dict[str, Any], *, after: float = 1, events: Iterable[str] = ()) -> Any:
    now = START + timedelta(seconds=after)
    return pods.replicas([one], lambda _: events, now)


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
               "message": "0/2 nodes are available: 2 Insufficient memory."}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "after", "phase", "said"),
    [
        (pod({}), 1, "starting", None),
        (pod({"ready": True, "started": True}, READY), 1, "ready", None),
        (pod({"ready": False, "started": True}, UNREADY), 1, "unready", "health check"),
        (pod({"ready": False, "started": False}, UNREADY), 1, "starting", None),
        (pod({}, READY, deletionTimestamp=START.isoformat()), 1, "stopping", None),
        (pod({}, UNSCHEDULED), 1, "starting", "Insufficient memory"),
        (pod({}, UNSCHEDULED), 61, "failed", "Insufficient memory"),
        (pod(waiting("ErrImagePull", "dial tcp: i/o timeout"), SCHEDULED), 1, "starting",
         "i/o timeout"),
        (pod(waiting("ImagePullBackOff", "dial tcp: i/o timeout"), SCHEDULED), 61, "failed",
         "i/o timeout"),
        (pod(waiting("ErrImagePull", "r/v@sha256:0: not found"), SCHEDULED), 1, "failed",
         "not found"),
        (pod(waiting("ErrImagePull", "no match for platform in manifest"), SCHEDULED), 1, "failed",
         "no match for platform"),
        (pod(waiting("CreateContainerConfigError", 'secret "a" not found')), 1, "failed", "secret"),
        (pod(ended("Error", 1)), 1, "restarting", "exit code 137"),
        (pod(ended("Error", 3)), 1, "failed", "exit code 137"),
        (pod(ended("OOMKilled", 1)), 1, "restarting", "512Mi"),
        (pod(ended("OOMKilled", 2)), 1, "failed", "512Mi"),
    ],
)  # fmt: skip
def test_a_pod_is_a_replica(
    one: dict[str, Any], after: float, phase: str, said: str | None
) -> None:
    (replica,) = seen(one, after=after)
    assert (replica.id, replica.revision, replica.phase) == ("digits-r1-x", 1, ReplicaPhase(phase))
    assert (said in replica.detail) if said else replica.detail is None


def test_a_wrong_answer_to_the_golden_request_is_final() -> None:
    events = ["Created container", f"Startup probe failed: {MARK}The output y is missing."]
    (replica,) = seen(pod({"started": False}, UNREADY), events=events)
    assert replica.phase is ReplicaPhase.FAILED
    assert replica.detail == f"{MARK}The output y is missing."


def test_an_evicted_pod_is_no_replica() -> None:
    evicted = pod({})
    evicted["status"]["phase"] = "Failed"
    assert seen(evicted) == ()


def test_a_quota_is_why_no_pod_is_made() -> None:
    condition = {
        "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small",
        "lastTransitionTime": START.isoformat(),
    }  # fmt: skip
    metadata: dict[str, str] = {}
    refused = {**condition, "message": 'admission webhook "x" denied the request'}
    for given, seconds, phase in (
        (condition, 0, ReplicaPhase.STARTING),  # it may fit when pods that end are gone
        (condition, 61, ReplicaPhase.FAILED),
        (refused, 0, ReplicaPhase.FAILED),
    ):
        body = {"metadata": metadata, "status": {"conditions": [given]}}
        trouble = pods.missing(body, START + timedelta(seconds=seconds))
        assert trouble is not None
        assert (trouble.phase, str(given["message"]) in trouble.what) == (phase, True)
    assert pods.missing({"metadata": metadata, "status": {}}, START) is None


def unscheduled(*said: str, after: float, limit: float | None = None) -> Any:
    why = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    now = START + timedelta(seconds=after)
    limits = {} if limit is None else {1: limit}
    (found,) = pods.replicas([pod({}, why)], lambda _: said, now, limits)
    return found


def test_a_pod_that_no_node_takes_fails_unless_a_node_is_being_added() -> None:
    early, late = unscheduled(after=59), unscheduled(after=61)
    assert (early.phase, early.unplaced) == (ReplicaPhase.STARTING, True)
    assert "0/3 nodes are available" in early.detail
    assert (late.phase, late.unplaced) == (ReplicaPhase.FAILED, False)
    for said in (
        "pod triggered scale-up: [{gpu-pool 0->1 (max: 4)}]",
        "Pod should schedule on: nodeclaim/gpu-x7k2",
    ):
        added = unscheduled("0/3 nodes are available", said, after=899)
        assert (added.phase, added.unplaced) == (ReplicaPhase.STARTING, True)
        assert said in added.detail
        assert unscheduled(said, after=901).phase is ReplicaPhase.FAILED
        assert unscheduled(said, after=901, limit=1200).phase is ReplicaPhase.STARTING
    refused = "pod didn't trigger scale-up: 1 max node group size reached"
    assert unscheduled(refused, after=61).phase is ReplicaPhase.FAILED
