"""Detecting processor time that the machine's host took, and measuring again.

On a shared machine the kernel counts the time in which a processor was ready but could not run
(`steal` in proc_stat(5)). It affects servers of several processes more than others, since each
hands work to the next. So a disturbed measurement is repeated.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LIMIT = 0.05
"""The largest share of processor time that may be stolen from a measurement."""
ATTEMPTS = 4
_REST_SECONDS = 10


def least_disturbed(measure: Callable[[], T]) -> tuple[T, float]:
    """Measure until little is stolen, at most a few times.

    Returns the measurement with the least stolen time, whatever its result, and that share.
    """
    best: tuple[T, float] | None = None
    for attempt in range(ATTEMPTS):
        # A host that limits a machine to its share gives time back after a rest.
        time.sleep(_REST_SECONDS if attempt else 0)
        before = psutil.cpu_times()
        result = measure()
        after = psutil.cpu_times()
        share = _share(before, after)
        if best is None or share < best[1]:
            best = result, share
        if share <= LIMIT:
            break
    assert best is not None
    return best


def _share(before: psutil._common.scputimes, after: psutil._common.scputimes) -> float:
    total = sum(after) - sum(before)
    stolen = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    return round(stolen / total, 3) if total else 0.0
