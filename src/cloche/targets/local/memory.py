"""How much memory a replica has, for `resources.memory`; see proc_pid_status(5).

What can be given back at any time (files that are mapped, such as weights) does not count, and what
processes share counts once. It is looked at, since no limit of the kernel fits: RLIMIT_AS counts
addresses, of which a server takes many times its memory, and a control group needs rights that a
user seldom has. A container has one: its engine bounds it (see `containers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.targets.local import proc
from cloche.targets.local.lifecycle import Health
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 0.25
"""Seconds between two looks: a request that Triton accepts takes up to 1 GiB per second."""
_OWN, _SHARED = b"RssAnon:", b"RssShmem:"


def excess(pid: int, limit: int | None) -> Health | None:
    """Return what is wrong with a server that has more memory than its limit, None if nothing."""
    if limit is None or (taken := resident(pid)) <= limit:
        return None
    why = f"It had {size_text(taken)} of memory; `resources.memory` allows {size_text(limit)}."
    return Health(ready=False, why=why, replace=True, dead=True)


def resident(pid: int) -> int:
    """Return the bytes that a process and all that it started have; 0 if it has ended."""
    held = [_held(each) for each in _family(pid)]
    return sum(own for own, _ in held) + max((shared for _, shared in held), default=0)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = list((proc.FOLDER / str(pid) / "task").iterdir())
    except proc.NOT_OURS:
        return
    for thread in threads:
        try:
            children = (thread / "children").read_bytes().split()
        except proc.NOT_OURS:
            continue
        for child in children:
            yield from _family(int(child))


def _held(pid: int) -> tuple[int, int]:
    """Return the bytes of a process: its own, and those that others may share."""
    try:
        lines = (proc.FOLDER / str(pid) / "status").read_bytes().splitlines()
    except proc.NOT_OURS:
        return 0, 0
    found = dict(line.split(None, 1) for line in lines if line.startswith((_OWN, _SHARED)))
    own, shared = (int(found.get(name, b"0").split()[0]) * 1024 for name in (_OWN, _SHARED))
    return own, shared
