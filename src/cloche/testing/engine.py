"""An engine over doubles, driven by hand or by its own thread."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche.control import Engine
from cloche.testing.state import MemoryJournal, MemoryState
from cloche.testing.target import LivingTarget
from cloche.testing.verifier import FixedVerifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.control import Verifier
    from cloche.state import Hold, Journal, State
    from cloche.targets import Target

_QUIET = 3
_MOST_TICKS = 200


def engine(
    *,
    state: State | None = None,
    journal: Journal | None = None,
    target: Target | None = None,
    verifier: Verifier | None = None,
    by: str = "test@here",
    hold: Hold | None = None,
) -> Engine:
    """Return an engine over doubles, or over the given parts; `settle` runs its rollouts."""
    return Engine(
        state or MemoryState(),
        journal or MemoryJournal(),
        target or LivingTarget(),
        verifier or FixedVerifier(),
        by=by,
        hold=hold,
    )


def settle(driven: Engine) -> None:
    """Tick an engine until nothing changes; raises AssertionError if it does not come to rest."""
    quiet = 0
    for _ in range(_MOST_TICKS):
        before = driven.events(), driven.status()
        driven.reconciler.tick()
        assert driven.reconciler.background.wait(10.0)  # noqa: S101  (a double for tests)
        quiet = quiet + 1 if (driven.events(), driven.status()) == before else 0
        if quiet == _QUIET:
            return
    raise AssertionError("The engine does not come to rest.")


@contextmanager
def running(driven: Engine | None = None) -> Iterator[Engine]:
    """Run an engine in a thread of its own while the block lasts; do not `settle` it as well."""
    started = driven or engine()
    started.start()
    try:
        yield started
    finally:
        started.stop()
