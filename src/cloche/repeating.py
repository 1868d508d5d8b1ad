"""Something that is done again and again beside something else."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def repeated(
    call: Callable[[], None], seconds: float, *, name: str, first: float = 0.0
) -> Iterator[None]:
    """Call something every so many seconds while the block lasts, in a thread with a name.

    The first call comes `first` seconds after the beginning. The block ends when the thread has.
    """
    over = threading.Event()

    def run() -> None:
        pause = first
        while not over.wait(pause):
            call()
            pause = seconds

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
