"""Clients that load a service while it changes, and count what they get."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc

from fixtures.command_line import User
from fixtures.local import until


def rows(*values: float) -> np.ndarray:
    return np.array([[value, 0] for value in values], "f4")


def grpc_input(array: np.ndarray) -> list[over_grpc.InferInput]:
    given = over_grpc.InferInput("x", list(array.shape), "FP32")
    given.set_data_from_numpy(array)
    return [given]


def ready(user: User, name: str) -> int:
    """Return how many replicas are ready, when no other is left."""
    replicas = user.service(name)["replicas"]
    counted = len(replicas["items"])
    return counted if replicas["ready"] == counted else -1


class Load:
    """Clients that send requests, one after the other, until the block ends."""

    def __init__(self, user: User, service: str) -> None:
        self._user, self._service = user, service
        self._over = threading.Event()
        self.answers: list[tuple[float, int | None]] = []
        """The answer, and the revision that gave it where the protocol shows it."""
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(one,))
            for one in (self._http, self._http, self._grpc)
        ]

    def _guarded(self, run: Any) -> None:
        while not self._over.is_set():
            try:
                run()
            except Exception as error:  # noqa: BLE001 - whatever a client can meet is a failure
                self.failures.append(repr(error))

    def _http(self) -> None:
        url = f"http://{self._user.address}/v2/models/{self._service}/infer"
        given = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 0]}
        body = json.dumps({"inputs": [given]}).encode()
        while not self._over.is_set():
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
                revision = int(answer.headers["cloche-revision"])
                value = json.loads(answer.read())["outputs"][0]["data"][0]
            self.answers.append((value, revision))

    def _grpc(self) -> None:
        with over_grpc.InferenceServerClient(self._user.address) as client:
            while not self._over.is_set():
                answer = client.infer(self._service, grpc_input(rows(1)), client_timeout=30)
                self.answers.append((answer.as_numpy("y").item(), None))

    def more(self, count: int = 20) -> None:
        """Wait until so many requests more have been answered."""
        wanted = len(self.answers) + count
        until(lambda: len(self.answers) >= wanted, 60)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
