from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.targets import ReplicaPhase
from cloche.targets.local.lifecycle import (
    RUNNING,
    After,
    Health,
    Life,
    Policy,
    Seen,
    Step,
    advance,
    delay,
    next_look,
)

POLICY = Policy(jitter=0.0)
ENDED = Seen(ended="ended with exit code 1")
WELL, MISSED = Health(ready=True), Health(ready=False)
LATE = Health(ready=False, why="It is late.")
WRONG = Health(ready=False, why="It is wrong.", replace=True)
DEAD = Health(ready=False, why="Its model is dead.", replace=True, dead=True)
DEGRADED = Health(ready=True, why="It is wrong, and the only one.")
HEALTH = [None, WELL, WELL, MISSED, LATE, WRONG, DEAD, DEGRADED]


def test_a_life_from_start_to_ready_and_to_the_end() -> None:
    life = Life(due=10.0)
    assert advance(life, Seen(), 9.9, POLICY) == life
    life = advance(life, Seen(), 10.0, POLICY)
    assert (life.step, life.phase) == (Step.STARTING, ReplicaPhase.STARTING)
    assert advance(life, Seen(health=MISSED), 11.0, POLICY) == life
    life = advance(life, Seen(health=WELL), 12.0, POLICY)
    assert (life.step, life.ready_at) == (Step.READY, 12.0)
    life = advance(life, Seen(stop=True), 13.0, POLICY)
    assert (life.step, life.phase) == (Step.DRAINING, ReplicaPhase.STOPPING)
    assert advance(life, Seen(stop=True), 13.1, POLICY) == life
    life = advance(life, Seen(stop=True, drained=True), 13.2, POLICY)
    assert life.step is Step.ENDING
    assert advance(life, Seen(stop=True), 13.2 + POLICY.end_limit, POLICY).step is Step.KILLING
    assert advance(life, Seen(ended="ended", stop=True), 14.0, POLICY).step is Step.GONE


@pytest.mark.parametrize(
    ("life", "seen", "at", "step", "after"),
    [
        pytest.param(
            Life(Step.READY), Seen(health=MISSED), 1, Step.READY, After.RESTART, id="one miss"
        ),
        pytest.param(
            Life(Step.READY, misses=1),
            Seen(health=MISSED),
            1,
            Step.UNREADY,
            After.RESTART,
            id="two misses",
        ),
        pytest.param(
            Life(Step.UNREADY), Seen(health=WELL), 5, Step.READY, After.RESTART, id="comes back"
        ),
        pytest.param(
            Life(Step.UNREADY),
            Seen(health=MISSED),
            POLICY.unready_limit,
            Step.ENDING,
            After.RESTART,
            id="does not come back",
        ),
        pytest.param(
            Life(Step.STARTING),
            Seen(health=MISSED),
            POLICY.start_limit,
            Step.ENDING,
            After.FAIL,
            id="never comes up",
        ),
        pytest.param(
            Life(Step.ENDING, after=After.FAIL), ENDED, 1, Step.FAILED, After.FAIL, id="gives up"
        ),
        pytest.param(
            Life(Step.STARTING), Seen(stop=True), 1, Step.ENDING, After.REMOVE, id="stop, starting"
        ),
        pytest.param(
            Life(Step.FAILED), Seen(stop=True), 1, Step.GONE, After.REMOVE, id="stop, failed"
        ),
        pytest.param(
            Life(Step.ENDING), Seen(stop=True), 1, Step.ENDING, After.REMOVE, id="stop, ending"
        ),
        pytest.param(
            Life(Step.DRAINING, after=After.REMOVE),
            Seen(),
            POLICY.drain_limit,
            Step.ENDING,
            After.REMOVE,
            id="drains for too long",
        ),
    ],
)
def test_steps(life: Life, seen: Seen, at: float, step: Step, after: After) -> None:
    following = advance(life, seen, at, POLICY)
    assert (following.step, following.after) == (step, after)


def test_a_server_that_ends_before_it_is_ready_fails_after_three_starts() -> None:
    life, now, waited = Life(), 0.0, []
    while life.step is not Step.FAILED:
        now = max(now, life.due)
        life = advance(life, Seen(), now, POLICY)
        assert life.step is Step.STARTING
        now += 0.5
        life = advance(life, ENDED, now, POLICY)
        waited.append(life.due - now)
    assert life.ends == POLICY.first_attempts
    assert waited[:2] == [0.5, 1.0]
    assert life.detail == "It ended with exit code 1. That was the third time in a row."
    assert life.phase is ReplicaPhase.FAILED


def test_a_server_that_served_long_begins_its_delays_anew() -> None:
    served = Life(Step.READY, ends=4, ready_at=0.0, was_ready=True, restarts=4)
    brief = advance(served, ENDED, POLICY.stable - 1, POLICY)
    assert (brief.step, brief.ends, brief.restarts) == (Step.WAITING, 5, 5)
    assert brief.phase is ReplicaPhase.RESTARTING
    assert advance(served, ENDED, POLICY.stable, POLICY).ends == 1
    assert advance(replace(served, ends=5), ENDED, 1, POLICY).step is Step.FAILED


def test_a_taken_port_does_not_count_as_an_end() -> None:
    life = advance(Life(Step.STARTING), replace(ENDED, collided=True), 3.0, POLICY)
    assert (life.step, life.due, life.ends, life.restarts) == (Step.WAITING, 3.0, 0, 0)
    worn = Life(Step.STARTING, collisions=POLICY.collisions)
    assert advance(worn, replace(ENDED, collided=True), 3.0, POLICY).ends == 1


def test_without_a_count_of_attempts_it_never_fails() -> None:
    policy = replace(POLICY, endless=True)
    life = advance(Life(Step.STARTING, ends=100), ENDED, 1.0, policy)
    assert life.step is Step.WAITING
    life = advance(Life(Step.STARTING), Seen(health=MISSED), policy.start_limit, policy)
    assert (life.step, life.after) == (Step.ENDING, After.RESTART)


def test_what_cloche_ended_for_not_answering_keeps_that_as_its_reason() -> None:
    life = advance(Life(Step.UNREADY), Seen(health=MISSED), POLICY.unready_limit, POLICY)
    life = advance(life, ENDED, 31.0, POLICY)
    assert life.detail == "It ran, but did not answer its health check for 30 seconds."


@pytest.mark.parametrize(
    ("life", "health", "step", "detail"),
    [
        pytest.param(Life(Step.READY), LATE, Step.UNREADY, LATE.why, id="late"),
        pytest.param(Life(Step.UNREADY, since=-99.0), LATE, Step.UNREADY, LATE.why, id="stays"),
        pytest.param(Life(Step.UNREADY, detail="late"), WELL, Step.READY, None, id="comes back"),
        pytest.param(Life(Step.READY), DEGRADED, Step.READY, DEGRADED.why, id="the only one"),
        pytest.param(Life(Step.READY, detail="wrong"), WELL, Step.READY, None, id="right again"),
        pytest.param(Life(Step.READY), WRONG, Step.ENDING, WRONG.why, id="finishes its requests"),
        pytest.param(Life(Step.READY), DEAD, Step.KILLING, DEAD.why, id="has none"),
        pytest.param(Life(Step.STARTING), DEAD, Step.KILLING, DEAD.why, id="while it starts"),
        pytest.param(Life(Step.STARTING), LATE, Step.STARTING, None, id="not before it is ready"),
    ],
)
def test_what_a_check_says_of_a_server(
    life: Life, health: Health, step: Step, detail: str | None
) -> None:
    after = advance(life, Seen(health=health), 1.0, POLICY)
    assert (after.step, after.detail, after.after) == (step, detail, After.RESTART)


def test_what_is_replaced_says_why_until_it_is_ready() -> None:
    life = advance(Life(Step.READY, ready_at=0.0), Seen(health=DEAD), 1.0, POLICY)
    life = advance(life, replace(ENDED, ended="was ended by signal SIGKILL"), 1.1, POLICY)
    assert (life.step, life.detail, life.restarts) == (Step.WAITING, DEAD.why, 1)
    life = advance(life, Seen(), life.due, POLICY)
    assert advance(life, Seen(health=WELL), life.due + 1, POLICY).detail is None


@pytest.mark.parametrize(
    "life",
    [
        Life(Step.WAITING, due=99.0, ends=5, restarts=5),
        Life(Step.FAILED, ends=6, after=After.FAIL, restarts=6),
    ],
)
def test_who_asks_again_has_it_started_at_once(life: Life) -> None:
    after = advance(life, Seen(retry=True), 1.0, POLICY)
    assert (after.step, after.ends, after.restarts) == (Step.STARTING, 0, life.restarts)
    assert advance(after, ENDED, 2.0, POLICY).step is Step.WAITING
    assert advance(Life(Step.READY), Seen(retry=True), 1.0, POLICY) == Life(Step.READY)


@given(ends=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_delays_grow_and_stay_within_their_bounds(ends: int, jitter: float) -> None:
    policy = Policy()
    waited = delay(ends, policy, jitter)
    assert policy.first_delay * 0.8 <= waited <= policy.longest_delay * 1.2
    assert delay(ends, policy, 0.5) <= delay(ends + 1, policy, 0.5)


SEEN = st.builds(
    Seen,
    ended=st.sampled_from([None, None, None, "ended with exit code 1"]),
    collided=st.booleans(),
    health=st.sampled_from(HEALTH),
    drained=st.booleans(),
)


@given(
    events=st.lists(st.tuples(SEEN, st.floats(0, 20)), max_size=120),
    stop_at=st.integers(0, 120),
)
def test_any_history_keeps_its_promises(events: list[tuple[Seen, float]], stop_at: int) -> None:
    """At most one process at a time, every start counted, and a stop that comes to an end."""
    now, life, starts, ends = 0.0, Life(), 0, 0
    for number, (seen, passed) in enumerate(events):
        now += passed
        before = life
        life = advance(before, replace(seen, stop=number >= stop_at), now, POLICY)
        if life.step is Step.STARTING and before.step is not Step.STARTING:
            assert before.step is Step.WAITING
            assert now >= before.due
            starts += 1
        ends += before.step in RUNNING and life.step not in RUNNING
        assert starts - ends == (life.step in RUNNING)
        assert life.restarts <= ends
        if before.step in {Step.FAILED, Step.GONE} and number < stop_at:
            assert life == before
        if number >= stop_at:
            assert life.phase is ReplicaPhase.STOPPING
        look = next_look(life, now, POLICY)
        assert look is None or 0 <= look <= POLICY.longest_delay * (1 + POLICY.jitter)
    for limit in (0.0, POLICY.drain_limit, POLICY.end_limit, 0.0):
        now += limit
        running = life.step is not Step.KILLING
        life = advance(life, Seen(ended=None if running else "ended", stop=True), now, POLICY)
    life = advance(life, Seen(ended="ended", stop=True), now, POLICY)
    assert life.step is Step.GONE
