"""The demo's clients count what they get, and what they do not get."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cloche.demo.load import CLIENTS, Load
from cloche.errors import UnavailableError
from fixtures.local import until

PIXELS = np.zeros((3, 4), "f4")
SERVICE = {"service": "digits"}


class Served:
    """A service whose revision is set by hand, and which can be told to lose a request."""

    def __init__(self) -> None:
        self.revision = 1
        self.lose = threading.Event()
        self.closed = 0

    def connect(self, protocol: str, service: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
        assert service is SERVICE

        def ask(scan: np.ndarray) -> tuple[int, int | None]:
            assert scan.shape == (1, 4)
            if self.lose.is_set():
                self.lose.clear()
                raise ConnectionError("reset by peer")
            return 0, self.revision if protocol == "http" else None

        def close() -> None:
            self.closed += 1

        return ask, close


def test_each_request_is_counted_by_protocol_and_by_revision():
    served = Served()
    with Load(SERVICE, PIXELS, served.connect) as load:
        load.wait_for(1)
        served.revision = 2
        load.wait_for(2)
        until(lambda: load.counts()["requests"]["grpc"])
    counted = load.counts()
    assert set(counted["answered"]) == {"1", "2"}
    assert sum(counted["answered"].values()) == counted["requests"]["http"]
    assert (counted["lost"], counted["failures"]) == (0, [])
    assert served.closed == len(CLIENTS)


def test_a_lost_request_is_counted_and_shown():
    served = Served()
    with Load(SERVICE, PIXELS, served.connect) as load:
        load.wait_for(1)
        served.lose.set()
        until(lambda: not served.lose.is_set())
        load.wait_for(1)
    counted = load.counts()
    assert counted["lost"] == 1
    assert counted["failures"][0].endswith(": reset by peer")


def test_a_revision_that_does_not_answer_is_an_error():
    served = Served()
    load = Load(SERVICE, PIXELS, served.connect)
    with load, pytest.raises(UnavailableError, match="Revision 2 did not answer") as caught:
        load.wait_for(2, seconds=0.2)
    assert caught.value.code == "demo.traffic"
