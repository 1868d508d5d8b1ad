"""What an autoscaler measures of a revision."""

from __future__ import annotations

import re

from cloche.artifacts import Autoscale, Operated, ReplicaRange, Revision
from cloche.rollout.decide import placement
from cloche.targets.kubernetes.objects import autoscaler, measures
from cloche.testing import deployment

MADE = deployment("digits")
PLACED = placement(Revision("digits", 3, MADE.digest, MADE, ""), Operated())
ALL = Autoscale(requests_per_second=100.0, queue_time=0.005, gpu_utilization=70.0)


def test_each_measure_has_its_threshold_and_its_kind() -> None:
    found = list(measures.of(PLACED, "vision", ALL, 5.0))
    assert [(each.name, each.threshold, each.per_replica) for each in found] == [
        ("requests-per-second", 100.0, True), ("queue-time-ms", 5.0, False),
        ("gpu-utilization", 70.0, False),
    ]  # fmt: skip
    assert all("[20000ms]" in each.query for each in found[:2])
    assert not list(measures.of(PLACED, "vision", Autoscale(), 5.0))


def test_a_query_is_about_the_pods_of_one_revision() -> None:
    (one,) = measures.of(PLACED, "vision", Autoscale(requests_per_second=1.0), 5.0)
    pattern = re.search(r'pod=~"([^"]+)"', one.query)
    assert pattern is not None
    assert 'namespace="vision"' in one.query
    for name, matches in {
        "digits-r3-7d9f8b6c5d-x2x4z": True,
        "digits-r30-7d9f8b6c5d-x2x4z": False,
        "digits-r3-r1-7d9f8b6c5d-x2x4z": False,
        "my-digits-r3-7d9f8b6c5d-x2x4z": False,
    }.items():
        assert bool(re.fullmatch(pattern[1], name)) is matches, name


def test_a_lost_metric_is_an_error_and_keeps_the_number() -> None:
    found = measures.of(PLACED, "vision", ALL, 5.0)
    spec = autoscaler.of(PLACED, "vision", ReplicaRange(2, 9), "http://p:9090", found)["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 9)
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert {each["metadata"]["ignoreNullValues"] for each in spec["triggers"]} == {"false"}
    kinds = [each["metricType"] for each in spec["triggers"]]
    assert kinds == ["AverageValue", "Value", "Value"]
    waits = list(measures.of(PLACED, "vision", Autoscale(queue_time=0.005), 5.0))
    alone = autoscaler.of(PLACED, "vision", ReplicaRange(2, 9), "http://p:9090", waits)["spec"]
    assert "fallback" not in alone  # KEDA refuses one where no measure is shared by the replicas
