"""What is peculiar to the state on a cluster: what leaves the record, what others do to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloche.artifacts import (
    Attached,
    Cause,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    Revision,
    Rollout,
    ServiceRecord,
)
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import CONFIG_MAP, CONTROLLER_REVISION, Kind
from cloche.errors import ClocheError, ConflictError, NotFoundError, StaleError
from cloche.state.kubernetes import KubernetesState, rebuild, sweep, who
from cloche.state.kubernetes.history import MOST_ROLLOUTS
from cloche.testing import START, deployment, verification
from fixtures.cluster_state import FolderDocuments

LATER = timedelta(minutes=11)


@pytest.fixture
def state(cluster_state: KubernetesState) -> KubernetesState:
    return cluster_state


@pytest.fixture
def again(
    api_cluster: Cluster, namespace: str, documents: FolderDocuments
) -> KubernetesState:  # fmt: skip
    """The state as another process sees it."""
    return KubernetesState(api_cluster, namespace, documents)


def rollout(number: int, outcome: Outcome | None = Outcome.COMPLETED) -> Rollout:
    at = (START + timedelta(minutes=number)).isoformat()
    phase = Phase.ENDED if outcome else Phase.STARTING
    ended = at if outcome else None
    return Rollout(
        number, number - 1 or None, Cause.DEPLOY, "me", at, phase, at,
        outcome=outcome, ended_at=ended,
    )  # fmt: skip


def record(*rollouts: Rollout, live: int | None = None) -> ServiceRecord:
    return ServiceRecord("digits", Operated(replicas=ReplicaRange(1, 1)), live, rollouts)


def revision(number: int, model: str = "a") -> Revision:
    asked = replace(deployment(model=model), image=f"here/a@{number}", pod={"spec": {"x": number}})
    return Revision("digits", number, asked.digest, asked, START.isoformat(), "me@here")


def seen(state: KubernetesState) -> list[int]:
    stored = state.service("digits")
    assert stored is not None
    return [each.to for each in stored.record.rollouts]


def put_more(state: KubernetesState, added: Rollout) -> None:
    stored = state.service("digits")
    assert stored is not None
    rollouts = (*stored.record.rollouts, added)
    state.put(replace(stored.record, rollouts=rollouts), expect=stored.version)


def value(cluster: Cluster, namespace: str, name: str, key: str) -> Any:
    body = cluster.get(CONFIG_MAP, name, namespace)
    assert body is not None
    return json.loads(body["data"][key])


def edit(
    cluster: Cluster, namespace: str, fields: dict[str, Any], *, kind: Kind = CONFIG_MAP
) -> None:
    cluster.patch(kind, "cloche-digits", namespace, fields)


# ── what leaves the record ────────────────────────────────────────────────────────────────────


def test_earlier_rollouts_leave_the_record_and_are_read_with_it(
    state: KubernetesState, again: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.put(record(rollout(1)), expect=None)
    for number in range(2, 13):
        put_more(state if number % 2 else again, rollout(number))
    assert seen(state) == seen(again) == list(range(1, 13))
    kept = value(api_cluster, namespace, "cloche-digits", "record.json")["rollouts"]
    gone = value(api_cluster, namespace, "cloche-digits.history", "rollouts.json")
    assert [one["to"] for one in gone + kept] == list(range(1, 13))
    assert len(kept) <= 6


def test_of_many_rollouts_the_last_hundred_stay_those_that_completed_first(
    state: KubernetesState, again: KubernetesState
) -> None:
    failed = {5, 6, 20}
    state.put(record(), expect=None)
    for number in range(1, MOST_ROLLOUTS + 11):
        put_more(state, rollout(number, Outcome.FAILED if number in failed else Outcome.COMPLETED))
    numbers = seen(again)
    assert len(numbers) <= MOST_ROLLOUTS + 6
    assert numbers == sorted(numbers)
    assert not failed.intersection(numbers)
    assert numbers[-1] == MOST_ROLLOUTS + 10


def test_a_crash_between_history_and_record_loses_and_doubles_nothing(
    state: KubernetesState, again: KubernetesState, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.put(record(*map(rollout, range(1, 8))), expect=None)
    stored = state.service("digits")
    assert stored is not None

    def crash(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as broken:
        broken.setattr(state._records, "write", crash)
        with pytest.raises(SystemError):
            put_more(state, rollout(8))
    assert seen(again) == list(range(1, 8))
    assert again.service("digits") == stored
    put_more(again, rollout(8))
    assert seen(again) == seen(state) == list(range(1, 9))


def test_large_failures_fit(state: KubernetesState, again: KubernetesState) -> None:
    log = ["x" * 1000] * 20
    state.put(record(), expect=None)
    for number in range(1, 45):
        put_more(state, replace(rollout(number, Outcome.FAILED), failure={"log": log}))
    assert len(seen(again)) > 20
    assert seen(again)[-1] == 44


def test_the_attachment_of_a_revision_outlives_those_of_many_others(
    state: KubernetesState, again: KubernetesState
) -> None:
    large = replace(verification(), detail="x" * 50_000)
    for number in range(1, 9):
        state.add_revision(revision(number))
        state.attach("digits", number, large)
    assert again.attached("digits", 8) == Attached(large)
    assert again.attached("digits", 1) == Attached()


# ── what others do to it ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    ["{", '{"name": "digits"}', '{"name": "other", "operated": {}}', None],
)
def test_a_record_edited_into_nonsense_is_named(
    cluster_state: KubernetesState,
    again: KubernetesState,
    api_cluster: Cluster,
    namespace: str,
    text: str | None,
) -> None:
    version = cluster_state.put(record(), expect=None)
    edit(api_cluster, namespace, {"data": {"record.json": text}})
    with pytest.raises(ClocheError) as caught:
        again.service("digits")
    assert caught.value.code == "state.corrupt"
    assert f"{namespace}/cloche-digits cannot be read: key record.json" in caught.value.what
    with pytest.raises(StaleError):
        cluster_state.put(record(live=1), expect=version)


def test_a_history_edited_into_nonsense_is_named(
    state: KubernetesState, again: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.put(record(*map(rollout, range(1, 8))), expect=None)
    put_more(state, rollout(8))
    fields = {"data": {"rollouts.json": "[1]"}}
    api_cluster.patch(CONFIG_MAP, "cloche-digits.history", namespace, fields)
    with pytest.raises(ClocheError, match="history cannot be read: key rollouts"):
        again.service("digits")


def test_what_a_later_version_wrote_is_read_and_never_written(
    state: KubernetesState, again: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.put(record(live=None), expect=None)
    later = {"cloche.dev/schema": "2"}
    text = '{"name": "digits", "operated": {}, "live": 3, "more": [1]}'
    edit(
        api_cluster,
        namespace,
        {"metadata": {"annotations": later}, "data": {"record.json": text}},
    )
    stored = again.service("digits")
    assert stored is not None
    assert stored.record.live == 3
    for write in (
        lambda: again.put(stored.record, expect=stored.version),
        lambda: again.delete("digits", expect=stored.version),
    ):
        with pytest.raises(ClocheError) as caught:
            write()
        assert caught.value.code == "state.newer"
        assert not caught.value.retriable
    assert again.service("digits") == stored
    edit(api_cluster, namespace, {"data": {"record.json": '{"name": 1}'}})
    with pytest.raises(ClocheError) as caught:
        again.service("digits")
    assert caught.value.code == "state.newer"


@pytest.mark.parametrize(
    ("kind", "name"), [(CONFIG_MAP, "cloche-digits"), (CONTROLLER_REVISION, "cloche-digits.r1")]
)
def test_an_object_of_somebody_else_is_left_alone_and_named(
    state: KubernetesState, api_cluster: Cluster, namespace: str, kind: Kind, name: str
) -> None:
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
    more = {"revision": 1, "data": {"a": "b"}} if kind is CONTROLLER_REVISION else {}
    theirs = api_cluster.create(kind, {**body, **more})

    def declare() -> None:
        state.add_revision(revision(1))
        state.put(record(), expect=None)

    with pytest.raises(ConflictError) as caught:
        declare()
    assert caught.value.code == "state.foreign"
    assert f"{kind.name} {namespace}/{name}" in caught.value.what
    assert api_cluster.get(kind, name, namespace) == theirs
    assert state.services() == ()
    assert state.revisions("digits") == (() if "r1" in name else (revision(1),))


def test_labels_of_others_on_the_record_stay(
    state: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.put(record(), expect=None)
    edit(api_cluster, namespace, {"metadata": {"labels": {"team": "vision"}}})
    put_more(state, rollout(1))
    body = api_cluster.get(CONFIG_MAP, "cloche-digits", namespace)
    assert body is not None
    assert body["metadata"]["labels"]["team"] == "vision"
    assert body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "cloche"


def test_a_revision_whose_document_is_gone_is_named_and_not_listed(
    state: KubernetesState, again: KubernetesState, documents: FolderDocuments
) -> None:
    state.add_revision(revision(1, "a"))
    state.add_revision(revision(2, "b"))
    lost = next(file for file in documents.folder.iterdir() if b'"./a.onnx"' in file.read_bytes())
    lost.unlink()
    with pytest.raises(NotFoundError) as caught:
        again.revision("digits", 1)
    assert caught.value.code == "state.document"
    assert [one.number for one in again.revisions("digits")] == [2]
    assert again.last_number("digits") == 2


@pytest.mark.parametrize(("schema", "code"), [(1, "state.corrupt"), (2, "state.newer")])
def test_a_revision_that_cannot_be_understood_is_named(
    state: KubernetesState,
    documents: FolderDocuments,
    monkeypatch: pytest.MonkeyPatch,
    schema: int,
    code: str,
) -> None:
    monkeypatch.setattr("cloche.state.kubernetes.revisions.SCHEMA", schema)
    state.add_revision(revision(1))
    monkeypatch.undo()
    [file] = documents.folder.iterdir()
    file.write_bytes(b'{"service": 1}')
    with pytest.raises(ClocheError, match="cloche-digits") as caught:
        state.revision("digits", 1)
    assert caught.value.code == code


def test_a_number_that_the_record_names_is_not_given_again(
    state: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.put(record(rollout(1), rollout(2), live=2), expect=None)
    state.add_revision(revision(2))
    api_cluster.delete(CONTROLLER_REVISION, "cloche-digits.r2", namespace)
    assert state.last_number("digits") == 2


def test_the_object_of_a_revision_tells_what_it_is(
    state: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.add_revision(revision(3))
    body = api_cluster.get(CONTROLLER_REVISION, "cloche-digits.r3", namespace)
    assert body is not None
    assert body["revision"] == 3
    assert body["metadata"]["labels"]["cloche.dev/revision"] == "3"
    data = body["data"]
    assert (data["schema"], data["by"], data["image"]) == (1, "me@here", "here/a@3")
    assert data["pod"] == {"spec": {"x": 3}}
    assert "files" not in json.dumps(data)


def test_nothing_is_left_of_a_deleted_service(
    state: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.put(record(*map(rollout, range(1, 8))), expect=None)
    put_more(state, rollout(8))
    state.add_revision(revision(8))
    state.attach("digits", 8, verification())
    stored = state.service("digits")
    assert stored is not None
    with pytest.raises(StaleError):
        state.delete("digits", expect="1")
    assert state.revisions("digits") == (revision(8),)
    state.delete("digits", expect=stored.version)
    for kind in (CONFIG_MAP, CONTROLLER_REVISION):
        assert api_cluster.list(kind, namespace, labels="cloche.dev/service").items == []


# ── recovery ──────────────────────────────────────────────────────────────────────────────────


def test_numbers_that_no_record_knows_are_swept_when_they_are_old(state: KubernetesState) -> None:
    now = datetime.now(UTC)
    for number in range(1, 6):
        state.add_revision(revision(number))
    assert sweep(state, "digits", now=now + LATER) == (), "without a record all may be needed"
    version = state.put(record(rollout(2), rollout(4), live=2), expect=None)
    assert sweep(state, "digits", now=now) == ()
    assert sweep(state, "digits", now=now + LATER) == (5,)
    assert [one.number for one in state.revisions("digits")] == [1, 2, 3, 4]
    with pytest.raises(StaleError):  # a deploy that waited all the time, with a number that is gone
        state.put(record(rollout(5)), expect=version)


def test_a_lost_record_is_made_anew(
    state: KubernetesState, again: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    for number in (1, 2, 3):
        state.add_revision(revision(number))
    state.put(record(*map(rollout, (1, 2, 3)), live=2), expect=None)
    with pytest.raises(StaleError):
        rebuild(state, "digits", 2)
    api_cluster.delete(CONFIG_MAP, "cloche-digits", namespace)
    with pytest.raises(ConflictError) as caught:
        rebuild(again, "digits", 7)
    assert caught.value.code == "state.lost"
    stored = rebuild(again, "digits", 2)
    assert stored == state.service("digits")
    assert (stored.record.live, seen(state)) == (2, [2])
    assert stored.record.operated == revision(3).deployment.operated
    with pytest.raises(NotFoundError):
        rebuild(state, "other", None)


def test_a_lost_record_takes_up_its_history(
    state: KubernetesState, api_cluster: Cluster, namespace: str
) -> None:
    state.add_revision(revision(7))
    state.put(record(*map(rollout, range(1, 8)), live=7), expect=None)
    put_more(state, rollout(8))
    api_cluster.delete(CONFIG_MAP, "cloche-digits", namespace)
    rebuild(state, "digits", 7)
    assert seen(state) == [1, 2, 3]


def test_who_is_the_user_that_the_cluster_knows(api_cluster: Cluster) -> None:
    assert who(api_cluster) == "admin"
