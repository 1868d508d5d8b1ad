"""One command of `docker` or `podman` at a time: bounded, reaped, its words translated.

A command has a session of its own, so that ctrl-C reaches Cloche alone: a short one then ends by
itself, so that what it makes can be removed, and a long one is ended.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SHORT = 120.0
"""Seconds that a command may take that moves no image."""
LONG = 4 * 3600.0
"""Seconds for one that does."""
_GRACE = 10.0
_FAILING = 1.0
"""Seconds to say why for a command that reads no more."""
_LAST = 500
"""Characters of an engine's words in an error: the last ones say what failed."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it said on stdout and stderr."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Return why it failed, on one line."""
        said = " ".join((self.err.strip() or self.out.strip()).split())
        return said[-_LAST:] or f"it ended with status {self.status}"


@dataclass(frozen=True, slots=True)
class Program:
    """The command line of an engine; raises ClocheError `engine.start` and `engine.timeout`."""

    path: str
    environment: Mapping[str, str]

    def run(self, *words: str, limit: float = SHORT) -> Done:
        """Run a command to its end."""
        pipe = subprocess.PIPE
        process = self._start(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        with process, _ended(process, _GRACE if limit == SHORT else 0):
            try:
                out, err = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                raise self._late(words, limit) from None
        return Done(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def feed(self, *words: str, chunks: Iterable[bytes]) -> Done:
        """Run a command that reads bytes; one that fails may leave some of them unread."""
        with tempfile.TemporaryFile() as said:
            process = self._start(words, stdin=subprocess.PIPE, stdout=said, stderr=said)
            watch = threading.Timer(LONG, process.kill)
            watch.start()
            try:
                with suppress(BrokenPipeError), process, _ended(process, _FAILING):
                    pipe = _pipe(process)
                    for chunk in chunks:
                        pipe.write(chunk)
                    pipe.close()
                    process.wait()
            finally:
                watch.cancel()
            said.seek(0)
            return Done(process.returncode, "", said.read().decode(errors="replace"))

    def _start(self, words: tuple[str, ...], **streams: Any) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self.path, *words], env=dict(self.environment), start_new_session=True, **streams
            )
        except OSError as error:
            raise ClocheError(
                "engine.start",
                f"The engine's program does not start: {error.strerror}.",
                where=self.path,
                hint="Install it again.",
            ) from error

    def _late(self, words: tuple[str, ...], limit: float) -> ClocheError:
        return UnavailableError(
            "engine.timeout",
            f"The engine did not end `{words[0]}` within {limit:g} seconds.",
            where=self.path,
            hint=f"See whether it answers: `{self.path} info`.",
        )


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101 - it was started with one
    return process.stdin


@contextmanager
def _ended(process: subprocess.Popen[bytes], grace: float) -> Iterator[None]:
    """Have a process ended at the end of the block; after an error it has `grace` seconds."""
    try:
        yield
    except BaseException:
        if grace:
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        process.terminate()
        raise
    finally:
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
