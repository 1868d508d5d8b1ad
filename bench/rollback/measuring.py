"""Rollbacks under counted load, each with the moments that it is made of."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypedDict

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import connect
from cloche.errors import ClocheError
from cloche.targets.kubernetes.objects import route
from fixtures.command_line import scaled_maximum
from fixtures.local import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.kubernetes.cluster import Cluster
    from fixtures.cluster_users import ClusterUser, Entry
    from fixtures.load import Load

NAME = "largest"
FACTORS = {1: 2.0, 2: 3.0}
"""What each revision multiplies by, so that an answer tells who gave it."""
REPLICAS = 2
_SETTLED = 3.0
"""Seconds of load after each command: an answer of the former revision would still be seen."""


class Round(TypedDict):
    """One rollback; times in seconds."""

    to: int
    before: float
    """From the start of the command to the route's change."""
    last: float
    """From the route's change to the last answer of the former revision."""
    last_http: float
    last_grpc: float
    first: float
    """From the route's change to the first answer of the revision that was brought back."""
    command: float
    """From the start of the command to its end."""
    answered: int
    lost: int


def measure(user: ClusterUser, entry: Entry, count: int) -> list[Round]:
    """Deploy two revisions, and go back and forth between them under load."""
    folder = user.user.folder
    for number, factor in FACTORS.items():
        model = scaled_maximum(folder / "model.onnx", factor)
        user.declare(NAME, model, replicas=REPLICAS, target=user.through(entry, NAME))
        assert user.deploy()["revision"] == number
    until(lambda: user.reached(entry, NAME), 60, every=0.5)
    before = _pods(user)
    environment = {"KUBECONFIG": str(user.cluster.kubeconfig)}
    rounds: list[Round] = []
    with (
        connect(user.cluster.context, environment) as cluster,
        Routed(cluster, user.namespace).watching() as routed,
        user.load(entry, NAME) as load,
    ):
        load.more(1000)  # Envoy asks for health each second only after the first requests
        for number in range(count):
            to = 1 + number % len(FACTORS)
            rounds.append(_round(user, load, routed, to))
            print(json.dumps(rounds[-1]), flush=True)
    for failure in load.failures:
        print(failure, flush=True)
    if _pods(user) != before:
        raise SystemExit("A pod was started or ended meanwhile: the revisions were not warm.")
    return rounds


def _pods(user: ClusterUser) -> set[str]:
    ready = [pod for number in FACTORS for pod in user.ready_pods(NAME, number)]
    assert len(ready) == REPLICAS * len(FACTORS), ready
    return {pod["metadata"]["uid"] for pod in ready}


def _round(user: ClusterUser, load: Load, routed: Routed, to: int) -> Round:
    answered, lost = len(load.moments), len(load.failures)
    began = time.monotonic()
    user.run("rollback", NAME, "--to", str(to), "--json").expect(0)
    ended = time.monotonic()
    time.sleep(_SETTLED)
    load.more()
    moments = load.moments[answered:]
    changed = routed.since(began, to)
    old = [each for each in moments if each.value != FACTORS[to]]
    last = {
        protocol: max(each.at for each in old if each.protocol == protocol) - changed
        for protocol in ("http", "grpc")
    }
    first = min(each.at for each in moments if each.value == FACTORS[to])
    return Round(
        to=to, before=changed - began, last=max(last.values()),
        last_http=last["http"], last_grpc=last["grpc"],
        first=first - changed, command=ended - began,
        answered=len(moments), lost=len(load.failures) - lost,
    )  # fmt: skip


class Routed:
    """When the route of the service was seen to lead elsewhere."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._changes: list[tuple[float, dict[int, int]]] = []

    @contextmanager
    def watching(self) -> Iterator[Routed]:
        """Watch until the block ends."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            until(lambda: self._changes)
            yield self
        finally:
            self._cluster.close()
            thread.join(10)

    def since(self, moment: float, revision: int) -> float:
        """Return when the route was first seen to lead to a revision alone, after a moment."""
        return next(at for at, split in self._changes if at > moment and set(split) == {revision})

    def _watch(self) -> None:
        with suppress(ClocheError):  # the connection is closed at the end
            for change in self._cluster.watch(kinds.HTTP_ROUTE, self._namespace, seconds=3600):
                at, split = time.monotonic(), route.split_of(change.object, NAME)
                if not self._changes or self._changes[-1][1] != split:
                    self._changes.append((at, split))
