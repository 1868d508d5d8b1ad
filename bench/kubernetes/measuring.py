"""What is measured: services applied and planned, in a process whose memory is theirs alone."""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cloche.artifacts import ContainerStart, Operated, PodOptions, ReplicaRange, Revision
from cloche.artifacts.container import SHARED_MEMORY
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.rollout.decide import placement
from cloche.targets import Desired
from cloche.targets.kubernetes import comparing, reading, seen, wanted, writing
from cloche.targets.kubernetes.objects import golden, pod, probes
from cloche.targets.kubernetes.target import KubernetesTarget
from cloche.testing import deployment
from cluster.harness.access import CONTEXT

IMAGE = "registry.example.com/bench/{}@sha256:" + "0" * 64


def measure(kubeconfig: str, count: int) -> dict[str, Any]:
    """Return seconds for all services, and the peak of the memory in bytes."""
    everything = [desired(number) for number in range(count)]
    with connect(CONTEXT, {"KUBECONFIG": kubeconfig}) as cluster:
        target = KubernetesTarget(cluster, "ours", probe_files)
        figures = {
            "apply": _seconds(lambda: [target.apply(each) for each in everything]),
            "apply_again": _seconds(lambda: [target.apply(each) for each in everything]),
        }
        plans = []
        for each in everything:
            began = time.monotonic()
            changes = target.compare(each)
            plans.append(time.monotonic() - began)
            if changes:
                raise SystemExit(f"{each.service} should not change: {changes[0]}")
        own = _own_time(cluster, everything[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "services": count, **figures, "plan": sum(plans), "plan_median": statistics.median(plans),
        "plan_own": own, "memory": peak,
    }  # fmt: skip


def _own_time(cluster: Cluster, one: Desired) -> float:
    """Return the seconds of a plan without what is asked of the cluster."""
    found = reading.everything(cluster, "ours", one)

    def read(*_: Any) -> seen.Seen:
        return found

    with _replaced(reading, "everything", read):
        times = []
        for _ in range(20):
            began = time.monotonic()
            comparing.compare(cluster, "ours", one)
            times.append(time.monotonic() - began)
    return statistics.median(times)


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def desired(number: int) -> Desired:
    """Return a service with one live revision of two replicas."""
    name = f"service-{number:04}"
    made = replace(deployment(name), image=IMAGE.format(name))
    start = ContainerStart(b"", {SHARED_MEMORY: str(2**24)}, (8000, 8001, 8002))
    template = pod.render(made, start, "amd64", PodOptions()).pod
    made = replace(made, pod=template)
    operated = Operated(ReplicaRange.exactly(2))
    placed = placement(Revision(name, 1, made.digest, made, ""), operated)
    return Desired(name, (placed,), {1: 100}, operated)


def probe_files(service: str, _: int) -> dict[str, bytes]:
    return probes.content(deployment(service), lambda _: b"answer")


def text(count: int, namespace: str) -> str:
    """Return the objects of all services as they are applied."""
    bodies = [body for number in range(count) for body in _objects(desired(number), namespace)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})


def _objects(one: Desired, namespace: str) -> Iterator[dict[str, Any]]:
    (placed,) = one.placements

    def serves(_: object) -> bool:
        return False

    yield from (body for _, body in wanted.of_service(one, namespace, serves))
    yield {**wanted.workload(placed, namespace)[1]}
    yield golden.of(placed, namespace, probe_files(one.service, 1))
    beside = wanted.of_revision(
        placed, one, wanted.NOTHING, None, namespace=namespace, serves=serves
    )
    yield from (writing.marked(body) for _, body in beside)
    yield from (body for _, body in wanted.of_traffic(one, namespace, serves))
