"""A program that runs containers, with its own data, ended with all that it mounted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_LIMIT = 60.0


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, answers: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run it until it answers and the block ends; its folder, in which all of it lies, goes too."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_LIMIT
        while not answers():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        for mount in _mounts(folder):
            subprocess.run(["umount", "-l", mount], check=True)
        shutil.rmtree(folder)


def _mounts(folder: Path) -> list[str]:
    """What is mounted below a folder, the deepest first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)
