"""What every implementation of `State` promises; a new one joins the list of `opened`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cloche.artifacts import Phase
from cloche.errors import ClocheError, SupersededError, UnavailableError
from cloche.state.sqlite import SqliteState
from cloche.state.state import State
from fixtures_control import GOLDEN, START, Clock, deployment, verification

Open = Callable[[], State]


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return what opens the same state again, as another process would."""
    states: list[State] = []

    def open_again() -> State:
        states.append(SqliteState(tmp_path / "state.db", clock=Clock()))
        return states[-1]

    yield open_again
    for state in states:
        state.close()


@pytest.fixture
def state(opened: Open) -> State:
    return opened()


def deploy(state: State, model: str = "a", service: str = "digits") -> int:
    asked = deployment(service, model)
    return state.deploy(asked, asked.digest).number


def make_live(state: State, number: int, service: str = "digits") -> None:
    for phase in (Phase.STARTING, Phase.VERIFYING, Phase.SHIFTING):
        state.attach(service, number, phase=phase)
    state.set_live(service, number)


def phases(state: State, service: str = "digits") -> list[str]:
    return [revision.phase.value for revision in state.revisions(service)]


def test_a_deploy_is_recorded_whole(state: State) -> None:
    asked = deployment(replicas=3)
    revision = state.deploy(asked, asked.digest)
    assert revision == state.revision("digits", 1)
    assert revision.deployment == asked
    assert revision.digest == asked.digest
    assert (revision.phase, revision.phase_since) == (Phase.PENDING, revision.created_at)
    assert revision.created_at == START.isoformat(timespec="milliseconds")
    record = state.service("digits")
    assert record is not None
    assert (record.wanted, record.live, record.operated) == (1, None, {"replicas": 3})
    assert state.services() == (record,)


def test_what_is_not_there_is_none_or_an_error(state: State) -> None:
    assert state.service("nothing") is None
    assert state.revision("nothing", 1) is None
    assert state.revisions("nothing") == ()
    assert state.services() == ()
    state.forget("nothing")
    with pytest.raises(ClocheError, match="no service"):
        state.operate("nothing", {}, by="me")
    deploy(state)
    with pytest.raises(ClocheError, match="no revision 7"):
        state.attach("digits", 7, phase=Phase.STARTING)


def test_the_later_deploy_takes_over(state: State) -> None:
    deploy(state, "a")
    state.attach("digits", 1, phase=Phase.STARTING)
    deploy(state, "b")
    assert phases(state) == ["superseded", "pending"]
    state.attach("digits", 1, phase=Phase.VERIFYING)
    assert phases(state) == ["superseded", "pending"]
    with pytest.raises(SupersededError):
        state.set_live("digits", 1)


def test_going_live_retires_the_one_before(state: State) -> None:
    deploy(state, "a")
    make_live(state, 1)
    deploy(state, "b")
    assert phases(state) == ["live", "pending"]
    make_live(state, 2)
    state.set_live("digits", 2)
    assert phases(state) == ["retired", "live"]
    record = state.service("digits")
    assert record is not None
    assert (record.live, record.wanted) == (2, 2)


def test_what_comes_to_be_is_attached(state: State) -> None:
    deploy(state)
    passed = verification()
    state.attach("digits", 1, golden=GOLDEN)
    state.attach("digits", 1, verification=passed)
    failure = {"code": "x", "what": "It broke.", "log": ["line"]}
    revision = state.attach("digits", 1, phase=Phase.FAILED, failure=failure)
    assert revision == state.revision("digits", 1)
    assert (revision.golden, revision.verification) == (GOLDEN, passed)
    assert (revision.phase, revision.failure) == (Phase.FAILED, failure)


@pytest.mark.parametrize("ended", [Phase.FAILED, Phase.SUPERSEDED])
def test_an_ended_phase_stays(state: State, ended: Phase) -> None:
    deploy(state)
    state.attach("digits", 1, phase=ended, failure={"what": "first"})
    for phase in Phase:
        state.attach("digits", 1, phase=phase, failure={"what": "second"})
    revision = state.revision("digits", 1)
    assert revision is not None
    assert (revision.phase, revision.failure) == (ended, {"what": "first"})


def test_going_live_is_not_for_attach(state: State) -> None:
    deploy(state)
    assert state.attach("digits", 1, phase=Phase.LIVE).phase is Phase.PENDING


def test_a_live_revision_is_wanted_again(state: State) -> None:
    deploy(state, "a")
    make_live(state, 1)
    deploy(state, "b")
    record = state.want("digits", 1, by="me")
    assert (record.wanted, record.live) == (1, 1)
    assert phases(state) == ["live", "superseded"]


def test_operation_changes_in_place(state: State) -> None:
    deploy(state)
    record = state.operate("digits", {"replicas": 4}, by="me")
    assert record.operated == {"replicas": 4}
    assert state.service("digits") == record
    assert len(state.revisions("digits")) == 1
    assert (state.events()[-1].kind, state.events()[-1].by) == ("scaled", "me")


def test_deletion_supersedes_and_frees_the_name(state: State) -> None:
    deploy(state)
    state.mark_deleting("digits", by="me")
    state.mark_deleting("digits", by="me")
    assert phases(state) == ["superseded"]
    record = state.service("digits")
    assert record is not None
    assert record.deleting
    with pytest.raises(UnavailableError, match="being deleted"):
        deploy(state)
    state.forget("digits")
    assert state.service("digits") is None
    assert state.revisions("digits") == ()
    assert state.events("digits")[-1].kind == "deleted"
    assert deploy(state) == 2


def test_every_change_is_one_event_in_order(state: State) -> None:
    deploy(state)
    deploy(state, service="other")
    state.attach("digits", 1, phase=Phase.STARTING)
    state.attach("digits", 1, phase=Phase.STARTING)
    state.attach("digits", 1, golden=GOLDEN)
    state.attach("digits", 1, golden=GOLDEN)
    state.attach("digits", 1, verification=verification(passed=False))
    state.attach("digits", 1, phase=Phase.FAILED, failure={"what": "It broke."})
    made = state.record("digits", "replica", "It came back.", revision=1, restarts=2)
    events = state.events("digits")
    kinds = ["deployed", "phase", "golden", "verified", "phase", "replica"]
    assert [event.kind for event in events] == kinds
    assert events[-1] == made
    assert (made.revision, made.by, made.detail) == (1, "cloche", {"restarts": 2})
    assert events[0].by == "someone@here"
    assert "It broke." in events[4].what
    numbers = [event.sequence for event in state.events()]
    assert numbers == sorted(set(numbers))
    assert state.events("digits", after=events[2].sequence) == events[3:]
    assert state.events("digits", after=events[0].sequence, limit=2) == events[1:3]
    assert len(state.events(limit=2)) == 2


def test_another_process_sees_the_same(opened: Open) -> None:
    first, second = opened(), opened()
    deploy(first)
    make_live(first, 1)
    assert second.services() == first.services()
    assert second.revisions("digits") == first.revisions("digits")
    assert second.events() == first.events()


def test_deploys_at_once_are_all_recorded_and_one_is_wanted(opened: Open) -> None:
    states = [opened(), opened()]
    together = threading.Barrier(4)
    numbers: list[int] = []

    def work(index: int) -> None:
        together.wait(10)
        for round_number in range(5):
            number = deploy(states[index % 2], f"{index}-{round_number}")
            numbers.append(number)
            with suppress(SupersededError):
                make_live(states[index % 2], number)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(numbers) == list(range(1, 21))
    seen = phases(states[0])
    record = states[0].service("digits")
    assert record is not None
    assert record.wanted == 20
    assert seen.count("live") == (0 if record.live is None else 1)
    assert seen[:-1].count("pending") == 0
