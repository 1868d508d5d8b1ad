"""The time at an API server, whatever the clock of this machine says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloche.clients.kubernetes.server_clock import ServerClock

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
DATE = "Thu, 26 Nov 2026 12:00:00 GMT"


def test_the_own_clock_counts_until_an_answer_came() -> None:
    assert ServerClock(lambda: NOON).now() == NOON


@pytest.mark.parametrize("wrong", [timedelta(hours=-3), timedelta(seconds=40), timedelta(days=9)])
def test_an_answer_puts_it_right(wrong: timedelta) -> None:
    clock = ServerClock(lambda: NOON + wrong)
    clock.note(DATE)
    assert abs(clock.now() - NOON) <= timedelta(seconds=1)


def test_it_does_not_jump_within_a_second() -> None:
    now = NOON
    clock = ServerClock(lambda: now)
    for milliseconds in (0, 400, 999, 1900):
        now = NOON + timedelta(milliseconds=milliseconds)
        clock.note(DATE)
        assert clock.now() == now


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 12:00:00 GMT"])
def test_what_is_no_date_is_left_out(date: str) -> None:
    clock = ServerClock(lambda: NOON)
    clock.note(date)
    assert clock.now() == NOON
