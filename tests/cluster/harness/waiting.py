"""Waiting for a cluster, always within a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cluster.harness.errors import HarnessError

if TYPE_CHECKING:
    from cluster.harness.daemon import Daemon


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    seconds: float = 120.0,
    daemons: Iterable[Daemon] = (),
) -> None:
    """Wait until a condition holds; raise HarnessError when it does not in time.

    It raises at once, with the end of the log, where one of the daemons that it depends on ended.
    """
    watched = tuple(daemons)
    deadline = time.monotonic() + seconds
    while not condition():
        for daemon in watched:
            if not daemon.running:
                raise HarnessError(f"{daemon.name} ended:\n{daemon.tail()}")
        if time.monotonic() > deadline:
            logs = "\n".join(daemon.tail(5) for daemon in watched)
            raise HarnessError(f"{what} took more than {seconds:.0f} s\n{logs}".rstrip())
        time.sleep(0.1)
