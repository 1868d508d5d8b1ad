"""Clients that send scans while a service changes, and count the answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from cloche.demo import traffic
from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from cloche.demo.traffic import Ask, Connect

CLIENTS = ("http", "http", "grpc")
"""The protocol of each client."""
PAUSE_SECONDS = 0.005
"""Seconds after each request: starting replicas need the processors, too."""
ANSWER_SECONDS = 60.0
MOST_SHOWN = 5
"""Failures that are kept as text; all are counted."""


class Load:
    """Sends requests from several concurrent clients, each sequentially, until the block ends.

    A request without an answer is lost, for whatever reason: none is sent twice.
    """

    def __init__(
        self, service: dict[str, Any], pixels: NDArray[Any], connect: Connect = traffic.connect
    ) -> None:
        self._service, self._pixels, self._connect = service, pixels, connect
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._sent: Counter[str] = Counter()
        self._answered: Counter[int] = Counter()
        self._lost = 0
        self._failures: list[str] = []
        self._latest: dict[int, tuple[float, int]] = {}
        """By client: the send time of its last answered request, and the revision that answered."""
        self._threads = [
            threading.Thread(target=self._run, args=(number, protocol), name=f"demo-{protocol}")
            for number, protocol in enumerate(CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, revision: int, seconds: float = ANSWER_SECONDS) -> None:
        """Return when a revision has answered every client whose protocol names the revision.

        Counts only requests sent from now on. Raises UnavailableError `demo.traffic`.
        """
        began = time.monotonic()
        clients = [number for number, protocol in enumerate(CLIENTS) if protocol == "http"]

        def all_answered() -> bool:
            latest = [self._latest.get(number, (0.0, 0)) for number in clients]
            return all(sent >= began and by == revision for sent, by in latest)

        with self._changed:
            if self._changed.wait_for(all_answered, seconds):
                return
            lost = "\n".join([f"{self._lost} requests were lost.", *self._failures])
        what = f"Revision {revision} did not answer within {seconds:.0f} s. {lost}"
        raise UnavailableError("demo.traffic", what, hint="Run the demo again.")

    def counts(self) -> dict[str, Any]:
        """Return `requests` by protocol, `answered` by revision (HTTP), `lost` and `failures`."""
        with self._changed:
            return {
                "requests": {protocol: self._sent[protocol] for protocol in sorted({*CLIENTS})},
                "answered": {str(number): self._answered[number] for number in self._answered},
                "lost": self._lost,
                "failures": list(self._failures),
            }

    def _run(self, number: int, protocol: str) -> None:
        ask, close = self._connect(protocol, self._service)
        try:
            for scan in itertools.cycle(self._pixels):
                if self._over.is_set():
                    return
                self._send(number, protocol, ask, scan[None, :])
                self._over.wait(PAUSE_SECONDS)
        finally:
            close()

    def _send(self, number: int, protocol: str, ask: Ask, scan: NDArray[Any]) -> None:
        sent = time.monotonic()
        failure: Exception | None = None
        revision: int | None = None
        try:
            _, revision = ask(scan)
        except Exception as error:  # noqa: BLE001  (any failure of a client is a lost request)
            failure = error
        with self._changed:
            self._sent[protocol] += 1
            if failure is not None:
                self._lost += 1
                if len(self._failures) < MOST_SHOWN:
                    self._failures.append(f"{protocol}: {failure}")
            elif revision is not None:
                self._answered[revision] += 1
                self._latest[number] = sent, revision
            self._changed.notify_all()
