"""The files that are given up on a full disk, made again when it has room.

One is for records of processes and for routes, one for the state: so what dies on a full disk is
started again, and a service can be deleted there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import files
from cloche.repeating import repeated

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from cloche.home import HomeLayout

_EVERY = 2.0


def kept(layout: HomeLayout, ending: Callable[[], bool]) -> AbstractContextManager[None]:
    """Look after them every two seconds while the block lasts, until all is `ending`."""

    def look() -> None:
        if not ending():
            for reserve in (layout.state_reserve, layout.reserve):
                files.keep_reserve(reserve, files.RESERVE)

    return repeated(look, _EVERY, name="cloche-reserves")
