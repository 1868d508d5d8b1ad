"""When a replica is asked its golden request, and what follows: on a clock that a test sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.targets.local.health import activity
from cloche.targets.local.health.activity import Activity
from cloche.targets.local.health.probing import INTERVAL, LATE, REGULARLY, Outcome, Probing
from cloche.targets.local.lifecycle import Health

LIMIT = 60.0
RIGHT = Outcome(0.001)
WRONG = Outcome(0.001, wrong="y is 7 instead of 2")
TOO_BUSY = Outcome(0.0, answered=False)


def nobody() -> bool:
    return False


def somebody() -> bool:
    return True


def probed(*outcomes: Outcome) -> Probing:
    """Return what was asked at once for each outcome, at the time 0."""
    probing = Probing(lambda: LIMIT)
    for outcome in outcomes:
        probing.asked(0.0)
        probing.ended(outcome, 0.0)
    return probing


def test_a_new_process_is_asked_at_once_and_then_only_when_it_is_silent() -> None:
    probing = Probing(lambda: LIMIT)
    probing.note(Activity(0, 0.0), 0.0)
    assert probing.due(0.0)
    probing.asked(0.0)
    assert not probing.due(99.0)
    probing.ended(RIGHT, 0.01)
    assert not probing.due(INTERVAL)
    assert probing.due(INTERVAL + 0.02)
    probing.note(Activity(7, 0.001), INTERVAL)
    assert not probing.due(2 * INTERVAL - 0.01)
    assert probing.due(2 * INTERVAL)


def test_a_busy_replica_is_asked_now_and_then_whether_it_is_right() -> None:
    probing = probed(RIGHT)
    for second in range(1, 10):
        probing.note(Activity(second, 0.001), float(second))
        assert not probing.due(float(second))
    probing.note(Activity(10, 0.001), REGULARLY)
    assert probing.due(REGULARLY)


@given(seconds=st.floats(0, 1000), pause=st.floats(0, 200_000))
def test_a_replica_answers_golden_requests_for_a_hundredth_of_its_time(
    seconds: float, pause: float
) -> None:
    probing = probed(Outcome(seconds))
    if probing.due(pause):
        assert pause >= INTERVAL
        assert seconds <= pause * 0.0101


def test_late_counts_only_when_nothing_is_finished_meanwhile() -> None:
    probing = probed(RIGHT)
    probing.note(Activity(5, 0.0), 10.0)
    probing.asked(10.0)
    assert probing.health(11.9, somebody) == Health(ready=True)
    probing.note(Activity(6, 0.0), 11.9)
    assert probing.health(13.8, somebody) == Health(ready=True)
    assert probing.health(14.0, somebody) == Health(ready=False, why=LATE)
    assert probing.health(14.0, nobody) == Health(ready=True, why=LATE)
    probing.ended(RIGHT, 14.1)
    assert probing.health(14.1, somebody) == Health(ready=True)


@pytest.mark.parametrize(
    ("own", "mean", "late_at"),
    [
        pytest.param(0.001, 0.001, 2.0, id="a quick model"),
        pytest.param(1.0, 0.001, 20.0, id="a golden request of a second"),
        pytest.param(0.001, 5.0, 20.0, id="requests of five seconds"),
    ],
)
def test_what_is_late_depends_on_what_is_usual(own: float, mean: float, late_at: float) -> None:
    probing = probed(Outcome(own))
    probing.note(Activity(1, mean), 0.0)
    probing.asked(0.0)
    assert probing.health(late_at - 0.01, somebody).ready
    assert not probing.health(late_at, somebody).ready


def test_a_replica_that_finishes_nothing_for_as_long_as_any_request_may_take_is_replaced() -> None:
    probing = probed(RIGHT)
    probing.asked(0.0)
    assert probing.health(LIMIT - 0.1, nobody) == Health(ready=True, why=LATE)
    stuck = probing.health(LIMIT, nobody)
    assert (stuck.ready, stuck.replace, stuck.dead) == (False, True, True)


def test_before_its_first_answer_nothing_says_what_is_late() -> None:
    probing = Probing(lambda: LIMIT)
    probing.asked(0.0)
    assert probing.health(LIMIT - 0.1, somebody).ready


def test_two_wrong_answers_in_a_row_replace_a_replica_that_others_can_do_without() -> None:
    probing = probed(WRONG)
    assert probing.health(0.0, somebody).ready
    assert probing.due(0.0)
    assert probed(WRONG, RIGHT, WRONG).health(0.0, somebody).ready
    twice = probed(WRONG, WRONG)
    assert twice.health(0.0, somebody).replace
    last = twice.health(0.0, nobody)
    assert (last.ready, last.replace) == (True, False)
    assert last.why is not None
    assert "y is 7 instead of 2" in last.why
    assert not twice.due(0.0)
    twice.asked(3.0)
    twice.ended(RIGHT, 3.0)
    assert twice.health(3.0, nobody) == Health(ready=True)


def test_a_wrong_answer_that_somebody_else_got_counts_as_the_first() -> None:
    probing = probed(RIGHT)
    probing.doubt("y is 7")
    assert probing.due(0.0)
    probing.asked(0.0)
    probing.ended(WRONG, 0.0)
    assert probing.health(0.0, somebody).replace


def test_too_much_to_do_is_no_answer_and_no_fault() -> None:
    probing = probed(RIGHT, TOO_BUSY, TOO_BUSY, TOO_BUSY)
    probing.note(Activity(5, 0.0), 0.0)
    assert probing.health(1.9, somebody).ready
    probing.note(Activity(9, 0.0), 1.9)
    assert probing.health(50.0, somebody).ready


def test_a_server_tells_what_it_did() -> None:
    document = b"""{"model_stats": [
        {"name": "a", "inference_stats": {"success": {"count": 3, "ns": 6000000}}},
        {"name": "b", "inference_stats": {"success": {"count": 1, "ns": 2000000}}},
        {"name": "never asked"}]}"""
    assert activity.read(document) == Activity(4, 0.002)


@pytest.mark.parametrize("document", [None, b"", b"[]", b"{}", b"no JSON", b'{"model_stats": 3}'])
def test_a_server_that_tells_nothing_is_not_judged_by_it(document: bytes | None) -> None:
    assert activity.read(document) is None
