"""Wakes requests that wait for something to happen, from threads to the event loop."""

from __future__ import annotations

import asyncio
import threading


class Changes:
    """A count of changes that requests wait on without a thread each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self.closed = False

    @property
    def count(self) -> int:
        """Return the number of changes; read it before looking for news, then wait from it."""
        return self._count

    def notify(self) -> None:
        """Count a change and wake all waiting requests; callable from any thread."""
        with self._lock:
            self._count += 1
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, future)

    def close(self) -> None:
        """Wake all waiting requests for the last time: the server ends."""
        self.closed = True
        self.notify()

    async def wait(self, count: int, seconds: float) -> None:
        """Return when there is a change after `count`, or after `seconds`."""
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
