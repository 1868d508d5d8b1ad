"""Ports and logs of pods on real nodes, through the client of Kubernetes."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster as Client
from cloche.clients.kubernetes.cluster import connect
from cloche.errors import NotFoundError, UnavailableError
from cluster.harness.cluster import Cluster
from cluster.harness.images import push_program
from cluster.harness.programs import Programs, own

ECHO, ASKED = 7000, 7001
LARGE = os.urandom(2**20) * 32


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    with connect(cluster.context, {"KUBECONFIG": str(cluster.kubeconfig)}) as client:
        yield client


@pytest.fixture(scope="module")
def echo_image(cluster: Cluster) -> str:
    return push_program(cluster.registry, "echo", Programs().path(own("echo")))


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"test-{uuid4().hex[:12]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--timeout=120s", seconds=150)


@pytest.fixture(scope="module")
def pod(client: Client, namespace: str, echo_image: str) -> str:
    """A pod that runs; `line 0` is the first that it prints."""
    pod = {
        "metadata": {"name": "echo", "namespace": namespace},
        "spec": {
            "containers": [{"name": "main", "image": echo_image}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    client.create(kinds.POD, pod)
    for change in client.watch(kinds.POD, namespace, fields="metadata.name=echo", seconds=120):
        if change.object["status"].get("phase") == "Running":
            return "echo"
    pytest.fail("the pod did not start")


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def read(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (block := connection.recv(65536)):
        received += block
    return bytes(received)


def test_large_bodies_both_ways_at_once(client: Client, namespace: str, pod: str) -> None:
    with client.forward(pod, namespace, ECHO) as port, connected(port) as connection:
        sending = threading.Thread(target=connection.sendall, args=(LARGE,))
        sending.start()
        received = read(connection, len(LARGE))
        sending.join()
    assert received == LARGE


def test_many_connections_at_once(client: Client, namespace: str, pod: str) -> None:
    with client.forward(pod, namespace, ECHO) as port:
        connections = [connected(port) for _ in range(20)]
        for number, connection in enumerate(connections):
            connection.sendall(f"{number:09}".encode())
        for number, connection in enumerate(connections):
            with connection:
                assert read(connection, 9) == f"{number:09}".encode()


def test_the_end_of_a_pods_side_is_the_end(client: Client, namespace: str, pod: str) -> None:
    with client.forward(pod, namespace, ASKED) as port, connected(port) as connection:
        connection.sendall(b"1000000\n")
        assert read(connection, 2_000_000) == b"x" * 1_000_000


def test_the_answer_to_who_has_ended_is_still_carried(
    client: Client, namespace: str, pod: str
) -> None:
    with client.forward(pod, namespace, ASKED) as port, connected(port) as connection:
        connection.sendall(b"30000000\n")
        connection.shutdown(socket.SHUT_WR)
        assert len(read(connection, 60_000_000)) == 30_000_000


def test_a_port_where_nothing_listens_resets(client: Client, namespace: str, pod: str) -> None:
    with (
        client.forward(pod, namespace, 9) as port,
        connected(port) as connection,
        pytest.raises(ConnectionResetError),
    ):
        connection.recv(1)


def test_all_ends_with_the_block(client: Client, namespace: str, pod: str) -> None:
    with client.forward(pod, namespace, ECHO) as port:
        connection = connected(port)
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    with connection:
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(port)


def test_the_last_lines_of_a_log(client: Client, namespace: str, pod: str) -> None:
    numbers = [int(line.split()[1]) for line in client.log(pod, namespace, "main", lines=3)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) <= 3


def test_the_log_before_a_restart_that_was_not(client: Client, namespace: str, pod: str) -> None:
    with pytest.raises(NotFoundError, match="has not been started anew"):
        list(client.log(pod, namespace, "main", previous=True))


def test_a_container_that_waits_for_its_image(client: Client, namespace: str) -> None:
    containers = [{"name": "main", "image": "none.invalid/none:1"}]
    pod = {
        "metadata": {"name": "waits", "namespace": namespace},
        "spec": {"containers": containers},
    }
    client.create(kinds.POD, pod)
    for change in client.watch(kinds.POD, namespace, seconds=60):
        if change.object["status"].get("containerStatuses"):
            break
    with pytest.raises(UnavailableError, match="has not started yet"):
        list(client.log("waits", namespace, "main"))


def test_a_log_is_followed_over_the_restart_of_an_api_server(
    cluster: Cluster, client: Client, namespace: str, pod: str
) -> None:
    api = cluster.api
    if api is None:
        pytest.skip("needs a cluster that may be broken: unset CLOCHE_TEST_KUBECONFIG")
    lines = client.log(pod, namespace, "main", follow=True)
    first = list(itertools.islice(lines, 10))
    api.restart()
    with client.forward(pod, namespace, ECHO) as port, connected(port) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    rest = list(itertools.islice(lines, 200))
    assert first + rest == [f"line {number}" for number in range(210)]
