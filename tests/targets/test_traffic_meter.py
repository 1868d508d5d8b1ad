"""What the gateway counts, and the traffic of a service that follows from it."""

from __future__ import annotations

from collections import Counter

import pytest

from cloche.errors import UnavailableError
from cloche.targets.local.envoy.statistics import Counts, counts_in
from cloche.targets.local.traffic import EVERY, TrafficMeter

Counted = dict[int, dict[tuple[str, int], Counts]]


def counts(answered: int, *, errors: int = 0, lost: int = 0, **times: int) -> Counts:
    found = Counter({float(name.removeprefix("ms")): count for name, count in times.items()})
    return Counts(answered, errors, lost, found)


class Gateway:
    """Counts what a test says, at the time that it says."""

    def __init__(self) -> None:
        self.counted: Counted | None = None
        self.now = 0.0
        self.meter = TrafficMeter(self.read, lambda: self.now)

    def read(self) -> Counted:
        if self.counted is None:
            raise UnavailableError("gateway.admin", "It does not run.")
        return self.counted

    def look(self, counted: Counted, *, after: float = EVERY) -> None:
        self.now += after
        self.counted = counted
        self.meter.look()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_what_was_counted_before_the_first_look_is_not_of_the_last_minute(
    gateway: Gateway,
) -> None:
    gateway.look({1: {("a", 1): counts(1000)}})
    assert gateway.meter.of("a") is None
    gateway.look({1: {("a", 1): counts(1010, errors=2, lost=1, ms0=9, ms7=1)}})
    found = gateway.meter.of("a")
    assert found is not None
    assert (found.seconds, found.total.requests, found.total.requests_per_second) == (5.0, 10, 2.0)
    assert (found.total.errors, found.total.lost) == (2, 1)
    assert (found.total.p50_ms, found.total.p99_ms) == (0.0, 7.0)
    assert found.revisions == {1: found.total}


def test_all_that_a_gateway_counts_that_started_later_is_counted(gateway: Gateway) -> None:
    with pytest.raises(UnavailableError):
        gateway.meter.look()
    gateway.look({1: {("a", 1): counts(7)}})
    found = gateway.meter.of("a")
    assert found is not None
    assert found.total.requests == 7


def test_processes_are_added_up_and_one_that_starts_anew_begins_at_nothing(
    gateway: Gateway,
) -> None:
    gateway.look({1: {("a", 1): counts(100)}, 2: {("a", 1): counts(50)}})
    gateway.look({1: {("a", 1): counts(110)}, 2: {("a", 1): counts(55)}})
    gateway.look({2: {("a", 1): counts(56)}})  # one of them was killed
    gateway.look({2: {("a", 1): counts(57)}, 3: {("a", 1): counts(4)}})
    found = gateway.meter.of("a")
    assert found is not None
    assert found.total.requests == 10 + 5 + 1 + 1 + 4


def test_a_process_that_did_not_answer_for_a_while_goes_on_where_it_was(gateway: Gateway) -> None:
    gateway.look({1: {("a", 1): counts(100)}, 2: {}})
    gateway.look({2: {}})
    gateway.look({1: {("a", 1): counts(103)}, 2: {}})
    found = gateway.meter.of("a")
    assert found is not None
    assert found.total.requests == 3


def test_only_the_last_minute_counts_and_the_rate_is_of_the_last_seconds(gateway: Gateway) -> None:
    total = 0
    for look in range(40):
        total += 50 if look < 38 else 10
        gateway.look({1: {("a", 1): counts(total), ("a", 2): counts(0), ("b", 1): counts(1)}})
    found = gateway.meter.of("a")
    assert found is not None
    assert found.seconds == 60.0
    assert found.total.requests == 10 * 50 + 2 * 10
    assert found.total.requests_per_second == 2.0
    assert found.revisions[2].requests == 0
    assert found.revisions[2].p50_ms is None


def test_a_service_that_was_never_asked_has_no_requests(gateway: Gateway) -> None:
    gateway.look({})
    gateway.look({})
    found = gateway.meter.of("a")
    assert found is not None
    assert (found.total.requests, found.total.p99_ms, found.revisions) == (0, None, {})


def test_protocols_are_one_and_other_statistics_are_left_out() -> None:
    buckets = [
        {"lower_bound": 0, "width": 0, "count": 9},
        {"lower_bound": 3, "width": 0.1, "count": 5},
        {"lower_bound": 140, "width": 10, "count": 1},
    ]
    document = {
        "stats": [
            {"name": "cluster.a-b.r3.http.upstream_rq_completed", "value": 5},
            {"name": "cluster.a-b.r3.grpc.upstream_rq_completed", "value": 6},
            {"name": "cluster.a-b.r3.http.upstream_rq_5xx", "value": 4},
            {"name": "cluster.a-b.r3.http.upstream_rq_503", "value": 2},
            {"name": "cluster.a-b.r3.http.upstream_rq_504", "value": 1},
            {"name": "cluster.a-b.r3.grpc.grpc.13", "value": 2},
            {"name": "cluster.a-b.r3.grpc.grpc.3", "value": 40},
            {"name": "cluster.a-b.r3.grpc.upstream_rq_5xx", "value": 1},
            {"name": "cluster.a-b.r3.grpc.upstream_rq_503", "value": 1},
            {"name": "cluster.a-b.r3.grpc.grpc.14", "value": 1},
            {"name": "cluster.cloche.answers.upstream_rq_completed", "value": 9},
            {"name": "cluster.a-b.r3.http.external.upstream_rq_completed", "value": 9},
            {
                "histograms": {
                    "details": [
                        {"name": "cluster.a-b.r3.http.upstream_rq_time", "totals": buckets},
                        {"name": "cluster.a-b.r3.grpc.upstream_rq_time", "totals": buckets[:1]},
                        {"name": "cluster.a-b.r3.http.other", "totals": buckets},
                    ]
                }
            },
        ]
    }
    assert counts_in(document) == {
        ("a-b", 3): counts(11, errors=3, lost=4, ms0=18, ms3=5, ms145=1),
    }
    assert counts_in({}) == {}
