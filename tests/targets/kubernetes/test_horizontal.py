"""The autoscaler of a revision where prometheus-adapter measures, and its rules."""

from __future__ import annotations

import pytest

from cloche.artifacts import Autoscale, Operated, ReplicaRange, Revision
from cloche.rollout.decide import placement
from cloche.targets.kubernetes.objects import horizontal, measures
from cloche.testing import deployment

MADE = deployment("digits")
PLACED = placement(Revision("digits", 3, MADE.digest, MADE, ""), Operated())
ALL = Autoscale(requests_per_second=100.0, queue_time=0.005, gpu_utilization=70.0)


def test_it_asks_for_metrics_of_its_own_pods() -> None:
    found = measures.of(PLACED, "vision", ALL, 5.0)
    spec = horizontal.of(PLACED, "vision", ReplicaRange(2, 9), found)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 9)
    assert spec["scaleTargetRef"]["name"] == "digits-r3"
    assert [each["pods"]["metric"]["name"] for each in spec["metrics"]] == [
        "cloche_requests_per_second", "cloche_queue_time_ms", "cloche_gpu_utilization",
    ]  # fmt: skip
    assert {each["type"] for each in spec["metrics"]} == {"Pods"}
    selectors = [each["pods"]["metric"].get("selector") for each in spec["metrics"]]
    assert selectors == [{"matchLabels": {"model": "digits"}}, None, None]


@pytest.mark.parametrize(
    ("rate", "quantity"), [(100.0, "100"), (0.5, "500m"), (2.25, "2250m"), (0.0001, "1m")]
)
def test_a_threshold_is_a_quantity(rate: float, quantity: str) -> None:
    found = measures.of(PLACED, "vision", Autoscale(requests_per_second=rate), 5.0)
    (metric,) = horizontal.of(PLACED, "vision", ReplicaRange(1, 2), found)["spec"]["metrics"]
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": quantity}


def test_a_rule_for_each_measure() -> None:
    found = horizontal.rules(5.0)
    named = {horizontal.measure_of(each["name"]["as"]) for each in found}
    assert named == {each.name for each in measures.of(PLACED, "vision", ALL, 5.0)}
    for each in found:
        assert "<<.LabelMatchers>>" in each["metricsQuery"]
        assert "by (<<.GroupBy>>" in each["metricsQuery"]
        assert sorted(one["resource"] for one in each["resources"]["overrides"].values()) == [
            "namespace", "pod",
        ]  # fmt: skip
    assert all("[20000ms]" in each["metricsQuery"] for each in found[:2])
