"""Asking a pod from here: ports of this machine that lead to it, and its logs."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError, UnavailableError
from cloche.targets.kubernetes import asking, asking_grpc, names, pods, rights, seen
from cloche.targets.kubernetes.objects.pod import CONTAINER, PORTS
from cloche.targets.target import ReplicaAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.kubernetes.cluster import Cluster

_TICK = 1.0


@contextmanager
def reach(
    cluster: Cluster, namespace: str, service: str, revision: int, replica: str | None
) -> Iterator[ReplicaAddress]:
    """Yield the address of a ready pod while the block lasts.

    Where the user may not forward ports, Jobs send the requests.
    """
    pod = _ready_pod(cluster, namespace, service, revision, replica)
    name = pod["metadata"]["name"]
    with ExitStack() as stack:
        if not rights.allowed(cluster, namespace, rights.FORWARD):
            _require_image(cluster, namespace, pod)
            over_http = stack.enter_context(asking.relay(cluster, pod))
            yield ReplicaAddress(over_http, stack.enter_context(asking_grpc.relay(cluster, pod)))
            return
        http = stack.enter_context(cluster.forward(name, namespace, PORTS["http"]))
        grpc = stack.enter_context(cluster.forward(name, namespace, PORTS["grpc"]))
        yield ReplicaAddress(f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}")


def _require_image(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> None:
    """Raise ClocheError for a pod that Cloche did not make: a Job cannot run its image."""
    if pods.container_of(pod) != CONTAINER:
        raise rights.missing(cluster, namespace, [rights.FORWARD])[0]


def _ready_pod(
    cluster: Cluster, namespace: str, service: str, revision: int, replica: str | None
) -> dict[str, Any]:
    for pod in _pods(cluster, namespace, service, revision):
        if replica in {None, pod["metadata"]["name"]} and pods.is_ready(pod):
            return pod
    what = f"No replica of revision {revision} of {service} is ready."
    hint = f"`cloche status {service}` shows its replicas."
    raise UnavailableError("target.unreachable", what, where=replica or service, hint=hint)


def logs(
    cluster: Cluster,
    namespace: str,
    service: str,
    revision: int | None,
    *,
    lines: int,
    follow: bool,
) -> Iterator[tuple[str, str]]:
    """Yield `(pod, line)`; with `follow`, `("", "")` about once a second if no line comes."""
    found = _pods(cluster, namespace, service, revision)
    if follow:
        yield from _followed(cluster, namespace, found, lines)
        return
    for pod in found:
        for line in _log(cluster, namespace, pod, lines=lines, follow=False):
            yield pod["metadata"]["name"], line


def _followed(
    cluster: Cluster, namespace: str, found: list[dict[str, Any]], lines: int
) -> Iterator[tuple[str, str]]:
    """Yield the lines of several pods as they come; a thread reads each."""
    arrived: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def read(pod: dict[str, Any]) -> None:
        for line in _log(cluster, namespace, pod, lines=lines, follow=True):
            arrived.put((pod["metadata"]["name"], line))

    readers = [threading.Thread(target=read, args=(pod,), daemon=True) for pod in found]
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers) or not arrived.empty():
        try:
            yield arrived.get(timeout=_TICK)
        except queue.Empty:
            yield "", ""


def _log(
    cluster: Cluster, namespace: str, pod: dict[str, Any], *, lines: int, follow: bool
) -> Iterator[str]:
    """Yield the lines of a pod; one that has no log yet has none."""
    name, container = pod["metadata"]["name"], pods.container_of(pod)
    try:
        yield from cluster.log(name, namespace, container, lines=lines, follow=follow)
    except ClocheError as error:
        yield f"({error.what})"


def _pods(
    cluster: Cluster, namespace: str, service: str, revision: int | None
) -> list[dict[str, Any]]:
    wanted = names.selector_text(service)
    if revision is not None:
        wanted += f",{names.REVISION}={revision}"
    workloads = cluster.list(kinds.DEPLOYMENT, namespace, labels=wanted).items
    found = [
        *cluster.list(kinds.POD, namespace, labels=wanted).items,
        *seen.adopted_pods(cluster, namespace, workloads),
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))
