"""What is peculiar to the journal on a cluster: cursors, limits, Events of Kubernetes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloche.artifacts import Event, EventKind, Operated, ServiceRecord
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import CONFIG_MAP, EVENT
from cloche.errors import ClocheError, UsageError
from cloche.state.kubernetes import KubernetesJournal, KubernetesState
from cloche.testing import START
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: no-events}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, create, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: no-events}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: no-events}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ben}]
"""


@pytest.fixture
def journal(api_cluster: Cluster, namespace: str) -> KubernetesJournal:
    return KubernetesJournal(api_cluster, namespace)


def event(what: str, service: str = "digits", kind: EventKind = EventKind.PHASE) -> Event:
    return Event(START.isoformat(), service, 1, kind, what, "me@here", {})


def said(events: tuple[Event, ...]) -> list[str]:
    return [one.what for one in events]


def test_a_cursor_knows_how_far_each_service_was_read(
    journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    slow = KubernetesJournal(api_cluster, namespace, clock=lambda: 1)  # a clock far behind
    journal.append([event("a1", "a"), event("b1", "b")])
    cursor = journal.read()[-1].cursor
    slow.append([event("a2", "a")])
    slow.append([event("c1", "c")])
    assert sorted(said(journal.read(after=cursor))) == ["a2", "c1"]
    of_a = journal.read("a")[-1].cursor
    assert said(journal.read("a", after=of_a)) == []
    assert said(journal.read("b", after=cursor)) == []
    assert said(journal.read("c", after=cursor)) == ["c1"]


def test_events_of_a_service_that_was_made_again_are_new(
    journal: KubernetesJournal, cluster_state: KubernetesState
) -> None:
    version = cluster_state.put(ServiceRecord("digits", Operated()), expect=None)
    journal.append([event("1"), event("2")])
    cursor = journal.read()[-1].cursor
    cluster_state.delete("digits", expect=version)
    journal.append([event("gone", kind=EventKind.DELETED)])
    assert journal.read() == ()
    journal.append([event("again")])
    assert said(journal.read(after=cursor)) == ["again"]


@pytest.mark.parametrize("cursor", ["17", "k1.", "k1.%%%", "k1.e30x", "after-3", "k1.bnVsbA"])
def test_a_foreign_cursor_is_refused(journal: KubernetesJournal, cursor: str) -> None:
    with pytest.raises(UsageError) as caught:
        journal.read(after=cursor)
    assert caught.value.code == "events.cursor"


def test_the_latest_events_are_kept(api_cluster: Cluster, namespace: str) -> None:
    journal = KubernetesJournal(api_cluster, namespace, most_events=20)
    first = None
    for number in range(5):
        journal.append(event(f"{number}.{each}") for each in range(6))
        first = first or journal.read()[0].cursor
    kept = said(journal.read())
    assert len(kept) == 20
    assert kept[-1] == "4.5"
    assert said(journal.read(after=first or "")) == kept
    assert len({one.cursor for one in journal.read()}) == 20


def test_large_events_fit(journal: KubernetesJournal) -> None:
    for number in range(12):
        journal.append([replace(event(str(number)), detail={"log": "x" * 90_000})])
    assert said(journal.read())[-1] == "11"
    assert len(journal.read()) >= 7
    journal.append([replace(event("too large"), detail={"log": "x" * 2_000_000})])
    last = journal.read()[-1]
    assert (last.what, last.detail) == ("too large", {})


def test_they_are_told_as_events_of_kubernetes(
    journal: KubernetesJournal, cluster_state: KubernetesState, api_server: ApiServer,
    api_cluster: Cluster, namespace: str,
) -> None:  # fmt: skip
    cluster_state.put(ServiceRecord("digits", Operated()), expect=None)
    failed = replace(event("It failed."), detail={"phase": "failed"})
    back = event("Back to 1.", kind=EventKind.ROLLED_BACK)
    trouble = event("No room.", kind=EventKind.TROUBLE)
    journal.append([failed, back, trouble, event("")])
    told = {
        one["message"]: (one["reason"], one["type"])
        for one in api_cluster.list(EVENT, namespace).items
    }
    assert told == {
        "It failed.": ("Phase", "Warning"),
        "Back to 1.": ("RolledBack", "Normal"),
        "No room.": ("Trouble", "Warning"),
        "Something happened.": ("Phase", "Normal"),
    }
    shown = api_server.kubectl("-n", namespace, "describe", "configmap", "cloche-digits")
    assert "Back to 1." in shown


def test_who_may_not_make_those_keeps_a_journal_all_the_same(
    api_server: ApiServer, journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    api_server.kubectl("-n", namespace, "apply", "-f", "-", stdin=ROLE)
    with connected(api_server.kubeconfig_of("ben")) as cluster:
        of_ben = KubernetesJournal(cluster, namespace)
        of_ben.append([event("one"), event("two")])
        assert said(of_ben.read()) == ["one", "two"]
    assert api_cluster.list(EVENT, namespace).items == []


def test_a_journal_edited_into_nonsense_is_named(
    journal: KubernetesJournal, api_cluster: Cluster, namespace: str
) -> None:
    journal.append([event("one")])
    fields = {"data": {"events.json": "nothing"}}
    api_cluster.patch(CONFIG_MAP, "cloche-digits.events", namespace, fields)
    with pytest.raises(ClocheError, match="events cannot be read: key events"):
        journal.read()
