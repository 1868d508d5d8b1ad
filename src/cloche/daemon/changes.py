"""Telling those who wait that something happened, from threads to the event loop."""

from __future__ import annotations

import asyncio
import threading


class Changes:
    """A count of what happened, which requests wait on without a thread each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self.closed = False

    @property
    def count(self) -> int:
        """Return how often something happened; read it before looking, and wait from there."""
        return self._count

    def notify(self) -> None:
        """Wake all who wait; callable from any thread."""
        with self._lock:
            self._count += 1
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, future)

    def close(self) -> None:
        """Wake all who wait for the last time: the server ends."""
        self.closed = True
        self.notify()

    async def wait(self, count: int, seconds: float) -> None:
        """Return when something has happened since `count`, or when the time is over."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._count != count or self.closed:
                return
            self._waiting[future] = loop
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return
        finally:
            with self._lock:
                self._waiting.pop(future, None)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
