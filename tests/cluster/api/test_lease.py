"""The right to act for a service, by a Lease; time passes only where a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import LEASE
from cloche.errors import ClocheError, ConflictError
from cloche.state.kubernetes.lease import Lease, Terms, own_identity
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected

TERMS = Terms(duration=15, usable=10, pause=0.05)


class Host:
    """A host with a clock of its own, which begins anywhere."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, time: float) -> None:
        self.time = time
        self.lease = Lease(
            cluster, namespace, "digits", identity=name, terms=TERMS, clock=lambda: self.time
        )

    def held(self) -> bool:
        return self.lease.held("digits")

    def after(self, seconds: float) -> bool:
        """Let time pass here, then look at the Lease; return whether it is held."""
        self.time += seconds
        self.lease.step()
        return self.held()


@pytest.fixture
def first(api_cluster: Cluster, namespace: str) -> Host:
    return Host(api_cluster, namespace, "first", 1_000_000)


@pytest.fixture
def second(api_cluster: Cluster, namespace: str) -> Host:
    return Host(api_cluster, namespace, "second", 3)


@pytest.fixture
def stored(api_cluster: Cluster, namespace: str) -> Iterator[Any]:
    def read() -> dict[str, Any]:
        body = api_cluster.get(LEASE, "cloche-digits", namespace)
        assert body is not None
        return body

    return read  # type: ignore[return-value]


def test_one_host_holds_it_as_long_as_it_renews(first: Host, second: Host) -> None:
    assert not first.held()
    assert first.after(0)
    assert not first.lease.held("other")
    for _ in range(20):
        assert not second.after(5)
        assert first.after(5)
    assert second.lease.holder == "first"


def test_it_is_over_for_its_holder_well_before_others_take_it(first: Host, second: Host) -> None:
    first.after(0)
    assert not second.after(0)
    first.time += 9.9
    assert first.held()
    first.time += 0.2
    assert not first.held()
    assert not second.after(10.1)
    assert not second.after(4.8)
    assert second.after(0.2)
    assert not first.after(4.9)
    assert first.lease.holder == "second"


def test_expiry_is_counted_from_when_it_was_last_seen_to_change(first: Host, second: Host) -> None:
    first.after(0)
    second.time += 1_000_000  # however long ago it was renewed by any clock
    assert not second.after(0)
    assert not second.after(14)
    first.after(1)
    assert not second.after(14), "it changed meanwhile"
    assert not second.after(14)
    assert second.after(2)


def test_a_host_that_wakes_up_neither_acts_nor_takes_it_back(
    first: Host, second: Host, stored: Any
) -> None:
    first.after(0)
    second.after(0)
    assert second.after(15.1)
    taken = stored()
    first.time += 3600
    assert not first.held()
    assert not first.after(0)
    assert stored() == taken
    assert taken["spec"]["leaseTransitions"] == 1


def test_of_two_that_take_it_at_once_one_has_it(
    api_cluster: Cluster, namespace: str, first: Host, second: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = first.lease._read

    def read_then_be_late() -> Any:
        body = read()
        assert second.after(0)
        return body

    monkeypatch.setattr(first.lease, "_read", read_then_be_late)
    assert not first.after(0)
    monkeypatch.undo()
    assert not first.after(0)
    assert second.after(1)


def test_it_is_lost_at_once_where_another_is_seen_to_have_it(
    first: Host, second: Host, api_cluster: Cluster, namespace: str
) -> None:
    first.after(0)
    api_cluster.delete(LEASE, "cloche-digits", namespace)
    second.after(0)
    assert not first.after(0)


def test_no_answer_leaves_it_as_long_as_it_was(
    first: Host, api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    first.after(0)
    first.time += 5
    with connected(api_server.kubeconfig_of("nobody")) as powerless:
        first.lease._cluster = powerless
        with pytest.raises(ClocheError):
            first.lease.step()
    assert first.held()
    first.time += 6
    assert not first.held()
    first.lease._cluster = api_cluster
    assert first.after(0)


def test_it_is_there_for_others_at_once_when_it_is_released(
    first: Host, second: Host, api_cluster: Cluster, namespace: str
) -> None:
    first.after(0)
    second.after(0)
    first.lease.release()
    assert not first.held()
    assert api_cluster.get(LEASE, "cloche-digits", namespace) is None
    assert second.after(0)
    first.lease.release()
    assert second.after(1)


def test_a_thread_renews_it_until_it_is_released(
    api_cluster: Cluster, namespace: str, stored: Any
) -> None:
    from fixtures.local import until

    with Lease(api_cluster, namespace, "digits", terms=TERMS) as lease:
        assert lease.held("digits")
        before = stored()
        until(lambda: stored()["spec"]["renewTime"] != before["spec"]["renewTime"])
        assert stored()["spec"]["acquireTime"] == before["spec"]["acquireTime"]
        assert stored()["spec"]["holderIdentity"] == lease.identity
    assert api_cluster.get(LEASE, "cloche-digits", namespace) is None


def test_a_lease_of_somebody_else_is_left_alone(
    api_cluster: Cluster, namespace: str, first: Host
) -> None:
    metadata = {"name": "cloche-digits", "namespace": namespace}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
    theirs = api_cluster.create(LEASE, {**body, "spec": {}})
    with pytest.raises(ConflictError) as caught:
        first.lease.start()
    assert caught.value.code == "state.foreign"
    assert api_cluster.get(LEASE, "cloche-digits", namespace) == theirs


def test_identities_differ() -> None:
    assert own_identity() != own_identity()
    assert "@" in own_identity()
