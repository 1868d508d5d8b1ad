"""ctrl-C while an extension module starts: it counts once that has ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from cloche.cli import session


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell starts what runs in its background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_held_until_the_end_of_the_block() -> None:
    done = []

    def interrupted() -> None:
        with session.interrupt_held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done
    with session.interrupt_held():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
