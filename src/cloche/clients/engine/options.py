"""How containers are run: as hardened as Kubernetes would have it, reached on loopback alone."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"
_SHARED = 64 * 2**20
"""Bytes of /dev/shm that a container has where nothing else is asked for."""
_HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--tmpfs", "/tmp",  # noqa: S108 - in the container
)  # fmt: skip


def published(port: int, inside: int) -> tuple[str, ...]:
    """Return the option that leads a port of loopback (0: a free one) to one of the container."""
    return "--publish", f"{LOOPBACK}:{port or ''}:{inside}"


def bounded(memory: int | None) -> tuple[str, ...]:
    """Return the options of a container that may have so many bytes of memory, swap included."""
    return () if memory is None else ("--memory", f"{memory}b", "--memory-swap", f"{memory}b")


def hardened(shared_memory: int) -> tuple[str, ...]:
    """Return the options of every container; its server needs so many bytes of /dev/shm."""
    if shared_memory <= _SHARED:
        return _HARDENED
    return *_HARDENED, "--shm-size", f"{shared_memory}b"
