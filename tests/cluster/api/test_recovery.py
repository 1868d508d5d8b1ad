"""What an acting command puts right first, against the objects of a real API server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from test_kubernetes_target import desired, placed, target

from cloche.artifacts import EventKind, Front, Operated, ReplicaRange, Revision, ServiceRecord
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.errors import ConflictError
from cloche.pipeline.cluster_recovery import recover
from cloche.state.hold import AlwaysHeld
from cloche.state.kubernetes import KubernetesJournal, KubernetesState
from cloche.testing import deployment
from fixtures.cluster_state import FolderDocuments


@pytest.fixture
def state(api_cluster: Cluster, namespace: str, documents: FolderDocuments) -> KubernetesState:
    """Three revisions of digits, of which the second has the traffic, and no record."""
    state = KubernetesState(api_cluster, namespace, documents)
    for number in (1, 2, 3):
        made = deployment("digits", f"./{number}.onnx")
        state.add_revision(Revision("digits", number, made.digest, made, "2026-11-26", "me"))
    target(api_cluster, namespace).apply(desired(placed(number=2, replicas=4), split=2))
    return state


@pytest.fixture
def journal(api_cluster: Cluster, namespace: str) -> KubernetesJournal:
    return KubernetesJournal(api_cluster, namespace)


def recovered(
    state: KubernetesState, journal: KubernetesJournal, cluster: Cluster, namespace: str
) -> str | None:
    return recover(
        state, journal, cluster, namespace, service="digits", hold=AlwaysHeld(), by="ann"
    )


def test_a_lost_record_is_made_anew_and_said(
    state: KubernetesState, journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    said = recovered(state, journal, api_cluster, namespace)
    stored = state.service("digits")
    assert stored is not None
    assert stored.record.live == 2
    assert stored.record.operated.replica_range == ReplicaRange.exactly(4)
    (event,) = journal.read("digits")
    assert (event.kind, event.what, event.by) == (EventKind.TROUBLE, said, "ann")
    assert "revision 2 has the traffic" in event.what
    assert recovered(state, journal, api_cluster, namespace) is None
    assert state.service("digits") == stored


def test_the_record_of_what_has_no_traffic_says_that_it_was_lost(
    state: KubernetesState, journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    api_cluster.delete(kinds.SERVICE, "digits", namespace)
    assert "none has traffic" in str(recovered(state, journal, api_cluster, namespace))
    stored = state.service("digits")
    assert stored is not None
    assert stored.record.live is None
    assert stored.record.latest is not None
    assert stored.record.latest.failure is not None
    assert stored.record.latest.failure["code"] == "state.lost"


def test_a_live_revision_that_is_lost_too_is_refused(
    state: KubernetesState, journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    body = state.numbered.body("digits", 2)
    assert body is not None
    state.numbered.remove(body)
    with pytest.raises(ConflictError) as caught:
        recovered(state, journal, api_cluster, namespace)
    assert caught.value.code == "state.lost"
    assert state.service("digits") is None


def test_numbers_that_nobody_uses_go_when_the_server_says_that_they_are_old(
    state: KubernetesState,
    journal: KubernetesJournal,
    api_cluster: Cluster,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state.put(ServiceRecord("digits", Operated(), live=2), expect=None)
    recovered(state, journal, api_cluster, namespace)
    assert len(state.revisions("digits")) == 3
    later = api_cluster.now() + timedelta(minutes=11)
    monkeypatch.setattr(Cluster, "now", lambda _: later)
    recovered(state, journal, api_cluster, namespace)
    assert [each.number for each in state.revisions("digits")] == [1, 2]


def test_the_service_that_was_adopted_is_in_a_record_made_anew(
    state: KubernetesState, journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    """It stands with the first revision alone: later ones were deployed without a word of it."""
    front = Front("inference", {"app": "triton"})
    first = state.numbered.body("digits", 1)
    assert first is not None
    state.numbered.remove(first)
    made = replace(deployment("digits"), operated=Operated(front=front))
    state.add_revision(Revision("digits", 1, made.digest, made, "2026-11-26", "me"))
    recovered(state, journal, api_cluster, namespace)
    stored = state.service("digits")
    assert stored is not None
    assert stored.record.operated.front == front
