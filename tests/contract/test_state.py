"""What every `State` promises; a new implementation joins `KINDS`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import (
    Attached,
    Cause,
    Operated,
    Phase,
    ReplicaRange,
    Revision,
    Rollout,
    ServiceRecord,
)
from cloche.errors import NotFoundError, StaleError
from cloche.state import State
from cloche.state.kubernetes import KubernetesState
from cloche.state.sqlite import SqliteState
from cloche.testing import START, MemoryState, deployment, verification

Open = Callable[[], State]


def sqlite(request: pytest.FixtureRequest) -> Open:
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: SqliteState(folder / "state.db")


def memory(request: pytest.FixtureRequest) -> Open:
    state = MemoryState()
    return lambda: state


def kubernetes(request: pytest.FixtureRequest) -> Open:
    asked = ("api_cluster", "api_namespace", "documents")
    cluster, namespace, documents = map(request.getfixturevalue, asked)
    return lambda: KubernetesState(cluster, namespace, documents)


KINDS = {"sqlite": sqlite, "memory": memory, "kubernetes": kubernetes}
NUMBERS_BEGIN_AGAIN = {"kubernetes"}
"""Kinds that keep nothing of a deleted service."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def opened(request: pytest.FixtureRequest, kind: str) -> Iterator[Open]:
    """Return what opens the same state again, as another process would."""
    states: list[State] = []
    opening = KINDS[kind](request)

    def open_again() -> State:
        states.append(opening())
        return states[-1]

    yield open_again
    for state in states:
        state.close()


@pytest.fixture
def state(opened: Open) -> State:
    return opened()


def record(name: str = "digits", live: int | None = None) -> ServiceRecord:
    at = START.isoformat()
    rollout = Rollout(1, None, Cause.DEPLOY, "me@here", at, Phase.STARTING, at)
    operated = Operated(replicas=ReplicaRange(1, 3), start_timeout=5.5)
    return ServiceRecord(name, operated, live, (rollout,))


def revision(number: int, service: str = "digits", model: str = "a") -> Revision:
    asked = deployment(service, model)
    return Revision(service, number, asked.digest, asked, START.isoformat(), "me@here")


def test_a_record_comes_back_as_it_was_put(state: State) -> None:
    assert state.services() == ()
    assert state.service("digits") is None
    version = state.put(record(), expect=None)
    stored = state.service("digits")
    assert stored is not None
    assert (stored.record, stored.version) == (record(), version)
    state.put(record("other"), expect=None)
    assert state.services() == ("digits", "other")


def test_a_record_is_written_only_over_what_was_read(state: State) -> None:
    first = state.put(record(), expect=None)
    with pytest.raises(StaleError):
        state.put(record(live=1), expect=None)
    second = state.put(record(live=1), expect=first)
    assert second != first
    with pytest.raises(StaleError):
        state.put(record(live=2), expect=first)
    with pytest.raises(StaleError):
        state.delete("digits", expect=first)
    with pytest.raises(StaleError):
        state.put(record("nothing"), expect=second)
    stored = state.service("digits")
    assert stored is not None
    assert (stored.record.live, stored.version) == (1, second)


def test_the_same_record_put_again_has_another_version(state: State) -> None:
    first = state.put(record(), expect=None)
    second = state.put(record(), expect=first)
    with pytest.raises(StaleError):
        state.put(record(), expect=first)
    assert second != first


def test_a_revision_is_kept_as_it_is_under_a_number_of_its_own(state: State) -> None:
    assert state.revision("digits", 1) is None
    assert state.revisions("digits") == ()
    assert state.last_number("digits") == 0
    state.add_revision(revision(1))
    state.add_revision(revision(2, model="b"))
    state.add_revision(revision(1, "other"))
    with pytest.raises(StaleError):
        state.add_revision(revision(2, model="c"))
    assert state.revisions("digits") == (revision(1), revision(2, model="b"))
    assert state.revision("digits", 2) == revision(2, model="b")
    assert (state.last_number("digits"), state.last_number("other")) == (2, 1)


def test_a_revision_needs_no_record(state: State) -> None:
    """No two objects change together: what a killed deploy left is one number less."""
    state.add_revision(revision(1))
    assert state.service("digits") is None
    assert state.services() == ()
    state.put(record(), expect=None)
    assert state.last_number("digits") == 1


def test_of_what_is_attached_the_latest_counts(state: State) -> None:
    assert state.attached("digits", 1) == Attached()
    with pytest.raises(NotFoundError, match="no revision 1"):
        state.attach("digits", 1, verification())
    state.add_revision(revision(1))
    state.attach("digits", 1, verification(passed=False))
    assert state.attached("digits", 1) == Attached(verification(passed=False))
    state.attach("digits", 1, verification())
    assert state.attached("digits", 1) == Attached(verification())
    other = replace(verification(), url="http://127.0.0.1:2")
    for _ in range(60):
        state.attach("digits", 1, verification(passed=False))
    state.attach("digits", 1, other)
    assert state.attached("digits", 1) == Attached(other)


def test_deletion_leaves_nothing_but_perhaps_the_numbers(state: State, kind: str) -> None:
    version = state.put(record(), expect=None)
    state.add_revision(revision(1))
    state.attach("digits", 1, verification())
    state.put(record("other"), expect=None)
    state.add_revision(revision(1, "other"))
    state.delete("digits", expect=version)
    assert state.service("digits") is None
    assert state.services() == ("other",)
    assert state.revisions("digits") == ()
    assert state.attached("digits", 1) == Attached()
    assert state.revisions("other") == (revision(1, "other"),)
    if kind in NUMBERS_BEGIN_AGAIN:
        assert state.last_number("digits") == 0
        state.add_revision(revision(1, model="c"))
        assert state.revisions("digits") == (revision(1, model="c"),)
        assert state.attached("digits", 1) == Attached()
    else:
        assert state.last_number("digits") == 1
        with pytest.raises(StaleError):
            state.add_revision(revision(1))
    with pytest.raises(StaleError):
        state.put(record(), expect=version)
    again = state.put(record(), expect=None)
    assert again != version
    state.add_revision(revision(2))


def test_another_process_sees_the_same(opened: Open) -> None:
    first, second = opened(), opened()
    version = first.put(record(), expect=None)
    first.add_revision(revision(1))
    assert second.service("digits") == first.service("digits")
    assert second.revisions("digits") == first.revisions("digits")
    second.put(record(live=1), expect=version)
    with pytest.raises(StaleError):
        first.put(record(live=2), expect=version)


def test_of_writes_at_once_one_wins_and_the_others_learn_it(opened: Open) -> None:
    states = [opened(), opened()]
    states[0].put(replace(record(), rollouts=()), expect=None)
    together = threading.Barrier(4)
    numbers: list[int] = []

    def work(index: int) -> None:
        state = states[index % 2]
        together.wait(10)
        done = 0
        while done < 5:
            stored = state.service("digits")
            assert stored is not None
            rollout = replace(record().rollouts[0], step=index * 10 + done)
            added = replace(stored.record, rollouts=(*stored.record.rollouts, rollout))
            try:
                state.put(added, expect=stored.version)
            except StaleError:
                continue
            done += 1
        while done < 10:
            number = state.last_number("other") + 1
            try:
                state.add_revision(revision(number, "other"))
            except StaleError:
                continue
            numbers.append(number)
            done += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stored = states[0].service("digits")
    assert stored is not None
    expected = sorted(index * 10 + done for index in range(4) for done in range(5))
    assert sorted(one.step for one in stored.record.rollouts) == expected
    assert sorted(numbers) == list(range(1, 21))
    assert [one.number for one in states[1].revisions("other")] == list(range(1, 21))
