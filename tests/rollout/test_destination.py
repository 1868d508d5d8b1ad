"""Which revision a rollback goes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloche.artifacts import Cause, Operated, Outcome, Phase, Rollout, ServiceRecord
from cloche.errors import ClocheError
from cloche.rollout.rollback import destination, former


def record(history: str, *, deleting: bool = False) -> ServiceRecord:
    """Return the record of a history: `d1` deploy, `b1` rollback; `!` failed, `?` under way."""
    live: int | None = None
    rollouts = []
    for word in history.split():
        number = int(word.strip("dbs!?"))
        cause = Cause.ROLLBACK if word[0] == "b" else Cause.DEPLOY
        one = Rollout(number, live, cause, "", "2026", Phase.PENDING, "2026")
        if word.endswith("!"):
            one = replace(one, outcome=Outcome.FAILED, phase=Phase.ENDED)
        elif not word.endswith("?"):
            one = replace(one, outcome=Outcome.COMPLETED, phase=Phase.ENDED)
            live = number
        rollouts.append(one)
    return ServiceRecord("digits", Operated(), live, tuple(rollouts), deleting=deleting)


@pytest.mark.parametrize(
    ("history", "number"),
    [
        ("", None),
        ("d1", None),
        ("d1!", None),
        ("d1 d2", 1),
        ("d1 d2!", None),
        ("d1 d2 d3!", 1),
        ("d1 d2 d3", 2),
        ("d1 d2 d3 b2", 1),
        ("d1 d2 d3 b2 b1", None),
        ("d1 d2 d3 b1", None),
        ("d1 d2 b1 d3", 1),
        ("d1 d2 d3 b2 d4", 2),
        ("d1 d2 d3 b2 b3", 2),
        ("d1 d2! d1 d3", 1),
        ("d1! b1", None),
        ("d1 d2 b1! d3", 2),
    ],
)
def test_it_undoes_what_is_live(history: str, number: int | None) -> None:
    assert former(record(history)) == number


def test_what_is_older_than_the_memory_counts_as_before() -> None:
    long = record("d1 d2 d3")
    assert former(replace(long, rollouts=long.rollouts[2:])) == 2


@pytest.mark.parametrize(
    ("history", "to", "code"),
    [
        ("d1", None, "rollback.nothing"),
        ("d1!", None, "rollback.nothing"),
        ("d1 d2", 3, "revision.unknown"),
        ("d1 d2", 2, "rollback.live"),
        ("d1 d2?", None, "rollback.under_way"),
        ("d1?", None, "rollback.under_way"),
    ],
)
def test_what_is_refused(history: str, to: int | None, code: str) -> None:
    with pytest.raises(ClocheError) as caught:
        destination(record(history), to, {1, 2})
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("history", "to", "number"),
    [("d1 d2", None, 1), ("d1 d2", 1, 1), ("d1 d2?", 1, 1), ("d1 d2!", 2, 2)],
)
def test_where_it_goes(history: str, to: int | None, number: int) -> None:
    assert destination(record(history), to, {1, 2}) == number


def test_what_was_live_before_but_is_no_longer_on_record_is_nothing() -> None:
    with pytest.raises(ClocheError) as caught:
        destination(record("d1 d2"), None, {2})
    assert caught.value.code == "rollback.nothing"


def test_a_service_that_is_being_deleted_goes_nowhere() -> None:
    with pytest.raises(ClocheError, match="being deleted"):
        destination(record("d1 d2", deleting=True), 1, {1, 2})
