"""Which replicas are started and stopped next, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.targets.replacing import Staying, next_step


def replicas(text: str) -> list[Staying]:
    """Return replicas by letters: upper case answers, o is outdated, r too, and ready, n is new."""
    return [
        Staying(str(number), letter in "ONr", letter.isupper(), letter.lower() in "or")
        for number, letter in enumerate(text)
    ]


@pytest.mark.parametrize(
    ("there", "wanted", "start", "stop"),
    [
        ("", 2, 2, ""),
        ("N", 3, 2, ""),
        ("NN", 1, 0, "1"),
        ("nN", 1, 0, "0"),
        ("O", 1, 1, ""),
        ("On", 1, 0, ""),
        ("ON", 1, 0, "0"),
        ("OO", 2, 1, ""),
        ("OOn", 2, 0, ""),
        ("OON", 2, 1, "0"),
        ("ONN", 2, 0, "0"),
        ("Oo", 2, 1, ""),
        ("OoN", 2, 1, "1"),
        ("o", 1, 1, ""),
        ("oN", 1, 0, "0"),
        ("OOO", 1, 1, "01"),
        ("On", 3, 2, ""),
        ("ONN", 1, 0, "20"),
        ("oo", 1, 1, "0"),
        ("on", 1, 0, ""),
        ("Ooo", 2, 1, "1"),
        ("rOn", 2, 0, ""),
        ("rON", 2, 1, "0"),
    ],
)
def test_the_next_step(there: str, wanted: int, start: int, stop: str) -> None:
    step = next_step(replicas(there), wanted)
    assert (step.start, "".join(step.stop)) == (start, stop)


@given(st.text("OoNn", max_size=6), st.integers(1, 4), st.data())
def test_all_are_new_at_the_end_and_enough_answer_all_the_time(
    there: str, wanted: int, data: st.DataObject
) -> None:
    now = replicas(there)
    for number in range(100, 140):
        answering = sum(each.answers for each in now)
        step = next_step(now, wanted)
        now = [each for each in now if each.id not in step.stop]
        assert sum(each.answers for each in now) >= min(answering, wanted)
        now += [Staying(f"{number}-{each}", False, False, False) for each in range(step.start)]
        assert len(now) <= max(wanted + 1, len(there))
        ready = data.draw(st.integers(0, len(now)))
        now = [
            _answering(each) if place < ready and not each.outdated else each
            for place, each in enumerate(now)
        ]
        if number > 120:
            now = [each if each.outdated else _answering(each) for each in now]
    assert [each.outdated for each in now] == [False] * wanted


def _answering(replica: Staying) -> Staying:
    return replace(replica, ready=True, answers=True)
