"""Replicas are reached through the gateway alone: by other users of the machine, not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fixtures.asking import NO_WAIT, Answer, ask
from fixtures.places import LocalPlace

NOBODY = 65534
CONNECT = """
import os, socket, sys
path, user = sys.argv[1], int(sys.argv[2])
connection = socket.socket(socket.AF_UNIX)
os.setgroups([])
os.setgid(user)
os.setuid(user)
connection.connect(path)
"""


def sockets_of(place: LocalPlace) -> list[str]:
    """Return the sockets of a replica that serves: for HTTP, gRPC and metrics."""
    place.serve("demo", {1: 1})
    (replica,) = place.of("demo", 1)
    http = str(replica.url).removeprefix("unix:")
    return [http, str(replica.grpc).removeprefix("unix:"), http.replace(".http", ".metrics")]


def test_a_replica_listens_on_no_port(local_place: LocalPlace) -> None:
    sockets = sockets_of(local_place)
    (replica,) = local_place.of("demo", 1)
    process = psutil.Process(replica.pid)
    states = [each.status for each in process.net_connections("inet")]
    assert psutil.CONN_LISTEN not in states
    assert set(sockets) <= {each.laddr for each in process.net_connections("unix")}
    assert ask(f"unix:{sockets[0]}", "demo") == Answer(200, None, (2 * NO_WAIT,))


@pytest.mark.skipif(os.geteuid() != 0, reason="to be another user takes root")
def test_another_user_reaches_none_of_its_sockets(local_place: LocalPlace) -> None:
    for path in sockets_of(local_place):
        for user, refused in ((0, False), (NOBODY, True)):
            done = subprocess.run(
                [sys.executable, "-c", CONNECT, path, str(user)],
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
            assert ("PermissionError" in done.stderr) is refused, done.stderr
            assert (done.returncode != 0) is refused
        # Not by the mode of the socket alone, which its server chooses.
        assert Path(path).parent.stat().st_mode & 0o077 == 0


def test_the_sockets_of_a_replica_go_with_it(local_place: LocalPlace) -> None:
    sockets = [Path(path) for path in sockets_of(local_place)]
    assert all(path.is_socket() for path in sockets)
    local_place.serve("demo", {1: 2})
    folders = sockets[0].parent.parent
    assert len(list(folders.iterdir())) == 2
    assert len(list(folders.glob("*/*"))) == 6
    local_place.serve("demo", {1: 1})
    local_place.until(lambda: len(list(folders.iterdir())) == 1)
    assert len(list(folders.glob("*/*"))) == 3
