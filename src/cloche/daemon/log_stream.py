"""Log lines as a stream that ends when its reader disconnects.

A target blocks while it yields log lines, so a thread reads them. Between two lines the thread
checks whether the reader has gone; a target that follows yields an empty line about once a second
for that (see `Target.logs`).
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from cloche.artifacts import encode
from cloche.control.background import unforeseen
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_AHEAD = 1000
"""Lines read ahead of a slow reader; then the thread waits for it."""


async def stream(lines: Iterator[tuple[str, str]]) -> AsyncIterator[bytes]:
    """Yield NDJSON: `{"replica", "line"}` objects; an error ends the stream as `{"error"}`."""
    pump = _Pump(lines, asyncio.get_running_loop())
    threading.Thread(target=pump.run, name="cloche-logs", daemon=True).start()
    try:
        while (data := await pump.queue.get()) is not None:
            yield data
            pump.room.release()
    finally:
        pump.stop()


class _Pump:
    def __init__(self, lines: Iterator[tuple[str, str]], loop: asyncio.AbstractEventLoop) -> None:
        self._lines = lines
        self._loop = loop
        self._stopped = False
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.room = threading.Semaphore(_AHEAD)

    def stop(self) -> None:
        """Make the thread end at the next line."""
        self._stopped = True
        self.room.release()

    def run(self) -> None:
        """Read until the lines end or the reader has gone."""
        try:
            for replica, line in self._lines:
                if self._stopped:
                    break
                if replica:
                    self.room.acquire()
                    self._put(encode({"replica": replica, "line": line}) + b"\n")
        except ClocheError as error:
            self._put(encode({"error": error.to_dict()}) + b"\n")
        except Exception as error:  # noqa: BLE001  (the reader is told; the server goes on)
            self._put(encode({"error": unforeseen(error).to_dict()}) + b"\n")
        finally:
            close = getattr(self._lines, "close", None)
            if close is not None:
                close()
            self._put(None)

    def _put(self, data: bytes | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, data)
