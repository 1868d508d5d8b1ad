"""The cgroups of a node, below a root of its own, in version 1, 2 or a mixture.

Two kubelets need two roots: one would remove the other's pods as orphans.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.harness.waiting import wait_until

_SECONDS = 20.0
_MOUNT = Path("/sys/fs/cgroup")


def make(name: str) -> None:
    """Make a root for a node in each hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)


def processes(name: str) -> set[int]:
    """Return the ids of all processes below a root."""
    found: set[int] = set()
    for folder in _folders(name):
        found.update(map(int, (folder / "cgroup.procs").read_text().split()))
    return found - {0}  # which stands for a process that cannot be seen from here


def remove(name: str) -> None:
    """Remove a root, whose processes were all killed; raises HarnessError where one stays."""
    wait_until(lambda: not _left(name), f"the end of the cgroups of {name}", seconds=_SECONDS)


def _left(name: str) -> list[Path]:
    """Return the folders that could not be removed yet, the deepest first."""
    left = []
    for folder in sorted(_folders(name), key=lambda path: len(path.parts), reverse=True):
        try:
            folder.rmdir()
        except OSError:  # busy until the kernel is done with a process
            left.append(folder)
    return left


def _folders(name: str) -> Iterator[Path]:
    for hierarchy in _hierarchies():
        root = hierarchy / name
        if root.is_dir():
            yield root
            yield from (path for path in root.rglob("*") if path.is_dir())


def _hierarchies() -> list[Path]:
    """Return version 2's one, or each of version 1 that is mounted."""
    candidates = [_MOUNT, *_MOUNT.iterdir()] if _MOUNT.is_dir() else []
    return [path for path in candidates if not path.is_symlink() and _is_root(path)]


def _is_root(path: Path) -> bool:
    return path.is_mount() and (path / "cgroup.procs").exists()
