"""Which ready pods belong to a Deployment that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from cloche.targets.kubernetes import leftover, names
from fixtures import by_hand

EARLY, LATE = "2026-11-26T10:00:00Z", "2026-11-26T10:00:05Z"


def pod(name: str, made: str = EARLY, *, ready: bool = True) -> dict[str, Any]:
    body = by_hand.pod(name, names.selector("digits", 1), ready=ready)
    body["metadata"]["creationTimestamp"] = made
    return body


def workload(made: str, ready: int | None) -> dict[int, dict[str, Any]]:
    status = {} if ready is None else {"readyReplicas": ready}
    return {1: {"metadata": {"creationTimestamp": made}, "status": status}}


@pytest.mark.parametrize(
    ("pods", "workloads", "left"),
    [
        ([pod("a"), pod("b")], {}, {"a", "b"}),  # its pods are told to end a moment later
        ([pod("a"), pod("b")], workload(EARLY, None), set()),  # its own, not counted yet
        ([pod("a", LATE)], workload(EARLY, 1), set()),
        ([pod("a"), pod("b")], workload(LATE, None), {"a", "b"}),  # made again
        ([pod("a"), pod("b", LATE)], workload(LATE, 1), {"a"}),
        ([pod("a"), pod("b")], workload(LATE, 2), set()),  # made again, and took them over
        ([pod("a"), pod("b"), pod("c", LATE)], workload(LATE, 2), {"b"}),
        ([pod("a", ready=False)], {}, set()),
    ],
)
def test_pods_of_a_deployment_that_is_gone(
    pods: list[dict[str, Any]], workloads: dict[int, dict[str, Any]], left: set[str]
) -> None:
    assert leftover.of(pods, workloads) == left
