"""What is asked at the same time: results in order, the first error, nothing left undone."""

from __future__ import annotations

import signal
import threading

import pytest

from cloche.targets.kubernetes.at_once import at_once

LIMIT = 30.0


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_are_in_order(count: int) -> None:
    assert at_once([lambda number=number: number for number in range(count)]) == [*range(count)]


def test_two_wait_at_the_same_time() -> None:
    both = threading.Barrier(2)
    assert sorted(at_once([lambda: both.wait(LIMIT), lambda: both.wait(LIMIT)])) == [0, 1]


def test_the_first_error_is_raised_once_all_have_ended() -> None:
    done: list[str] = []
    second_failed = threading.Event()

    def first() -> None:
        assert second_failed.wait(LIMIT)
        raise ValueError("first")

    def second() -> None:
        second_failed.set()
        raise ValueError("second")

    works = [first, second, *[lambda: done.append("others")] * 6]
    with pytest.raises(ValueError, match="first"):
        at_once(works)
    assert done == ["others"] * 6


def test_what_has_not_begun_when_interrupted_is_never_done() -> None:
    """The others of an interrupted thread end by themselves, or by closing the cluster."""
    let_go, begun = threading.Event(), threading.Semaphore(0)
    done: list[str] = []

    def held() -> None:
        begun.release()
        assert let_go.wait(LIMIT)

    def interrupt() -> None:
        for _ in range(4):
            assert begun.acquire(timeout=LIMIT)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        at_once([held] * 4 + [lambda: done.append("late")])
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "cloche-cluster":
            thread.join(LIMIT)
    assert done == []
