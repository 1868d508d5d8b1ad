"""What is asked of a cluster at the same time: most of a request is waiting for its answer."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    _Result = TypeVar("_Result")
    _Begun = tuple[Future[_Result], Callable[[], _Result]]

_NAME = "cloche-cluster"
_LOOK_EVERY = 0.2
_MOST = 4
"""Requests at the same time: each has a connection of its own."""


def at_once(works: Iterable[Callable[[], _Result]]) -> list[_Result]:
    """Return the results of some works, in their order, once all have ended.

    Raises the first error in that order; the other works have been done all the same.
    """
    asked = list(works)
    if len(asked) < 2:
        return [work() for work in asked]
    begun: list[_Begun[_Result]] = [(Future(), work) for work in asked]
    futures, left = [future for future, _ in begun], iter(begun)
    try:
        for _ in range(min(len(begun), _MOST)):
            # Nobody who is interrupted, and leaves, waits for an answer that may never come.
            threading.Thread(target=_take, args=(left,), name=_NAME, daemon=True).start()
        while wait(futures, _LOOK_EVERY).not_done:
            pass  # a signal that comes just before a wait begins is noticed only after it
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


def _take(left: Iterator[_Begun[_Result]]) -> None:
    """Do works that nobody else has taken, until none is left."""
    for future, work in left:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - who waits raises it
                future.set_exception(error)
