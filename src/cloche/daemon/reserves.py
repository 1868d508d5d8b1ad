"""The files that are given up on a full disk, made again when it has room.

One is for records of processes and for routes, one for the state: so what dies on a full disk is
started again, and a service can be deleted there.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloche.home import HomeLayout

_EVERY = 2.0


@contextmanager
def kept(layout: HomeLayout, ending: Callable[[], bool]) -> Iterator[None]:
    """Look after them every two seconds while the block lasts, until all is `ending`."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set() and not ending():
            for reserve in (layout.state_reserve, layout.reserve):
                files.keep_reserve(reserve, files.RESERVE)
            over.wait(_EVERY)

    thread = threading.Thread(target=run, name="cloche-reserves", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
