"""Ending a demo, started by this process or an earlier one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.clients.control.record import is_running

if TYPE_CHECKING:
    import psutil

    from cloche.demo.places import Places
    from cloche.progress import Progress

GRACE_SECONDS = 10.0


def end(places: Places, progress: Progress) -> dict[str, Any]:
    """End the services and MLflow; return the result of `cloche down`, and MLflow's process."""
    if not _is_left(places):
        return {
            "replicas": [], "gateway": None, "gateway_processes": [], "control": None,
            "mlflow": None,
        }  # fmt: skip
    with progress.task("Stopping the demo"):
        return {**places.client(progress).down(), "mlflow": _end_registry(places)}


def _is_left(places: Places) -> bool:
    """Return whether parts of a demo may still run."""
    inner = places.inner
    return is_running(inner.home) or inner.layout.run.is_dir() or places.process_file.exists()


def end_tree(pid: int, created: float | None = None) -> bool:
    """End a process and its descendants; return False if it is gone or another one."""
    import psutil

    try:
        process = psutil.Process(pid)
        if created is not None and abs(process.create_time() - created) > 1:
            return False
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return False
    for member in tree:
        _signal(member, force=False)
    _, alive = psutil.wait_procs(tree, timeout=GRACE_SECONDS)
    for member in alive:
        _signal(member, force=True)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    return True


def _signal(process: psutil.Process, *, force: bool) -> None:
    import psutil

    try:
        process.kill() if force else process.terminate()
    except psutil.NoSuchProcess:
        return


def _end_registry(places: Places) -> int | None:
    try:
        known = json.loads(places.process_file.read_text())
    except (OSError, ValueError):
        return None
    ended = end_tree(known["pid"], known["created"])
    places.process_file.unlink(missing_ok=True)
    return int(known["pid"]) if ended else None
