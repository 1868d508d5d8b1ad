"""A model's own process, with limits on time and memory; it ends with everything it started.

The model's code runs only in that process. The process gets a folder with its job, and writes its
answers there as plain tensors.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING

from cloche.environments import variables
from cloche.errors import ClocheError
from cloche.sandbox import surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloche.artifacts import Sandbox

_TAIL = 16 * 1024
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_SCRIPTS = Path(__file__).parents[1]
_LOOK_EVERY = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process takes."""

    resident: int
    """Bytes."""
    processor: float
    """Seconds of all processors that it has used."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process."""

    code: int
    tail: str
    """Its last output."""
    stopped: str | None = None
    """Why it was ended from outside; None if it ended by itself."""

    @property
    def how(self) -> str:
        """Return how it ended, as words that follow `ended with`."""
        if self.stopped is not None:
            return self.stopped
        if self.code < 0:
            killed = " (perhaps out of memory)" if -self.code == signal.SIGKILL else ""
            return f"signal {signal.Signals(-self.code).name}{killed}"
        return f"exit code {self.code}"

    @property
    def last_line(self) -> str:
        """Return the last line that it printed."""
        lines = [line.strip() for line in self.tail.splitlines() if line.strip()]
        return lines[-1][:500] if lines else "it printed nothing"


def run(
    argv: list[str],
    *,
    cwd: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    stop: Callable[[Usage], str | None] = lambda _: None,
) -> Ended:
    """Run a program in a process group of its own, which leaves its files in `cwd`.

    `stop` gets what the process takes now and then, and ends it by returning why.
    Raises ClocheError `golden.environment` if it does not start and `golden.timeout` after
    `timeout` seconds.
    """
    process = _start(argv, cwd, environment or {})
    tail: deque[bytes] = deque(maxlen=_TAIL // 1024)
    reader = Thread(target=_drain, args=(process.stdout, tail), daemon=True)
    reader.start()
    stopped = None
    try:
        deadline = time.monotonic() + timeout
        while process.poll() is None and stopped is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_EVERY)
            stopped = stop(_usage(process.pid)) if process.returncode is None else None
            if process.returncode is None and time.monotonic() > deadline:
                raise _too_long(timeout)
    finally:
        _end(process)
        reader.join(timeout=5)
    return Ended(process.returncode, b"".join(tail).decode("utf-8", "replace"), stopped)


def confined(
    argv: list[str],
    folder: Path,
    *,
    python: Path,
    read: Iterable[Path],
    sandbox: Sandbox,
    network: bool = False,
) -> list[str]:
    """Return a command in a sandbox: it sees nothing of the user, and writes in `folder` alone.

    `python` runs it, and it reads its files, those of `read` and Cloche's own scripts. What the
    kernel here cannot close stays open: it is the user's own model.
    """
    opened = [Path(each).expanduser() for each in sandbox.opened]
    made = surroundings.walls(
        os.environ,
        folder,
        read=[*surroundings.python(python), _SCRIPTS, *read, *opened],
        network=network and sandbox.keeps_network,
    )
    if not sandbox.closes_files:
        made = replace(made, files=False, hide={})
    return list(made.around(*argv))


def available_memory() -> int:
    """Return the bytes that processes can still take on this machine."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return int(os.sysconf("SC_AVPHYS_PAGES")) * _PAGE


def _start(argv: list[str], cwd: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env={**_environment(os.environ, cwd), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ClocheError(
            "golden.environment",
            f"The interpreter of the model's environment does not start: {error.strerror}.",
            where=argv[0],
            hint="Remove the environment's folder; the next deploy makes it again.",
        ) from error


def _environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables that a model's process needs, without the user's secrets."""
    kept = {name: given[name] for name in _KEPT if name in given}
    return {
        "LANG": "C.UTF-8",
        **kept,
        **variables.TELLS_NOBODY,
        **variables.leaves_files_in(folder),
        "PYTHONUNBUFFERED": "1",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def _usage(pid: int) -> Usage:
    """Return what a process takes, by proc(5); nothing of one that has ended."""
    with suppress(OSError, ValueError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        # The name of the program is in brackets, and may have spaces: utime is field 14.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return Usage(int(pages) * _PAGE, (int(fields[11]) + int(fields[12])) / _TICKS)
    return Usage(0, 0.0)


def _too_long(timeout: float) -> ClocheError:
    return ClocheError(
        "golden.timeout",
        f"The direct run of the model did not end within {timeout:.0f} seconds.",
        hint="Log the model with a smaller input example, or allow more time with"
        " `start_timeout` in its cloche.yaml.",
    )


def _drain(stream: IO[bytes] | None, tail: deque[bytes]) -> None:
    assert stream is not None  # noqa: S101 - Popen was given a pipe
    with stream:
        while chunk := stream.read1(1024):  # type: ignore[attr-defined]
            tail.append(chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process's group and reap the process."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
