"""What a real Envoy refuses: its words, who is blamed, and that no other service is held up."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_gateway import Running, installed, label, running, service

from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    Route,
    ServiceRoutes,
)
from fixtures.local import until

TOO_HEAVY = 2**32 - 1


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, installed()) as found:
        yield found


NONSENSE = Endpoint("nonsense:1", "nonsense:2")


def heavy(gateway: Running, name: str) -> ServiceRoutes:
    """A service whose weights together are more than Envoy counts."""
    return service(name, (TOO_HEAVY, gateway.replicas[0]), (TOO_HEAVY, gateway.replicas[-1]))


def elsewhere(name: str, endpoint: Endpoint) -> ServiceRoutes:
    revisions = (RevisionEndpoints(1, 100, (endpoint,)),)
    return ServiceRoutes(name, (name,), revisions, plain=(name,))


def test_refused_routes_are_told_at_once_and_hold_up_nobody(gateway: Running) -> None:
    one, two = gateway.replica("one"), gateway.replica("two")
    gateway.serve("a", (100, one))
    before = time.monotonic()
    others = (service("a", (100, two)), service("c", (100, one)), service("d", (100, two)))
    applied = gateway.gateway.apply(GatewayState((*others, heavy(gateway, "b"))))
    assert time.monotonic() - before < 4
    assert list(applied.refused) == ["b"]
    assert "sum of weights" in applied.refused["b"]
    assert (applied.seen, applied.held) == (True, ())
    assert [label(gateway, name) for name in "acd"] == ["two", "one", "two"]
    assert label(gateway, "b") == 404
    assert gateway.gateway.seen_routes() == (
        Route("a", 1, 100), Route("c", 1, 100), Route("d", 1, 100),
    )  # fmt: skip


def test_who_is_refused_keeps_the_routes_that_it_had(gateway: Running) -> None:
    one = gateway.replica("one")
    gateway.replica("two")
    gateway.serve("b", (100, one))
    state = GatewayState((heavy(gateway, "b"),))
    assert list(gateway.gateway.apply(state).refused) == ["b"]
    assert label(gateway, "b") == "one"
    # It is not tried again, and others still change.
    told = gateway.log()
    more = GatewayState((*state.services, service("c", (100, one))))
    assert list(gateway.gateway.apply(more).refused) == ["b"]
    assert gateway.log() == told
    assert (label(gateway, "b"), label(gateway, "c")) == ("one", "one")
    applied = gateway.gateway.apply(GatewayState((service("b", (0, one), (100, one)),)))
    assert (applied.refused, label(gateway, "b")) == ({}, "one")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (NONSENSE, "malformed IP address"),
        (Endpoint("127.0.0.1:70000", "127.0.0.1:2"), "65535"),
    ],
)
def test_refused_clusters_are_told_as_well(
    gateway: Running, endpoint: Endpoint, words: str
) -> None:
    one, two = gateway.replica("one"), gateway.replica("two")
    gateway.serve("a", (100, one))
    services = (service("a", (100, two)), elsewhere("b", endpoint), service("c", (100, one)))
    applied = gateway.gateway.apply(GatewayState(services))
    assert list(applied.refused) == ["b"]
    assert words in applied.refused["b"]
    assert (label(gateway, "a"), label(gateway, "c"), label(gateway, "b")) == ("two", "one", 404)
    applied = gateway.gateway.apply(GatewayState((service("b", (100, two)),)))
    assert (applied.refused, label(gateway, "b")) == ({}, "two")


def test_what_was_written_while_no_gateway_ran_is_found_when_it_runs(gateway: Running) -> None:
    one = gateway.replica("one")
    gateway.replica("two")
    gateway.stop()
    state = GatewayState(
        (
            service("a", (100, one)),
            heavy(gateway, "b"),
            elsewhere("c", NONSENSE),
        )
    )
    assert gateway.gateway.apply(state).refused == {}
    gateway.start()
    assert set(gateway.gateway.apply(state).refused) == {"b", "c"}
    until(lambda: label(gateway, "a") == "one")
    # What is on disk is now what Envoy takes when it starts again.
    gateway.stop()
    told = gateway.log()
    gateway.start()
    until(lambda: label(gateway, "a") == "one")
    assert gateway.log() == told


def test_a_refused_listener_is_told(gateway: Running) -> None:
    first = gateway.gateway.processes[0].log
    assert first.listener_refusal(0) is None
    gateway.stop()
    settings = dataclasses.replace(gateway.gateway.settings, gateway_host="192.0.2.1")
    gateway.gateway.settings = settings
    gateway.start()
    until(lambda: first.listener_refusal(0) is not None)
    assert "192.0.2.1" in (first.listener_refusal(0) or "")
