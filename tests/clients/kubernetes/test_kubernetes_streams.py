"""Watches and logs whose connections break where a real server's cannot be made to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.context import Context, Server, User
from cloche.clients.kubernetes.credentials import Credentials
from cloche.clients.kubernetes.transport import Transport
from cloche.clients.patience import Patience
from cloche.errors import ClocheError, StaleError, UnavailableError

BREAK = object()
"""The connection is cut without the end of its answer."""


class Script:
    """Answers to the next requests: a status, and parts of a body or BREAK."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, list[Any]]] = []
        self.asked: list[dict[str, str]] = []
        """The parameters of each request."""


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def cluster(script: Script) -> Iterator[Cluster]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            script.asked.append(dict(parse_qsl(urlsplit(self.path).query)))
            status, parts = script.answers.pop(0)
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            for part in parts:
                if part is BREAK:
                    return
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        context = Context("here", Server(f"http://127.0.0.1:{server.server_address[1]}"), User())
        patience = Patience(pauses=(0.01, 0.02), stall=20)
        with Cluster(context, Transport(context, Credentials(context, {}), patience)) as cluster:
            yield cluster
        server.shutdown()
        thread.join()


def event(kind: str, version: int, **fields: Any) -> bytes:
    metadata = {"name": f"n{version}", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": {"metadata": metadata, **fields}}).encode() + b"\n"


def names(cluster: Cluster, count: int) -> list[str]:
    changes = cluster.watch(kinds.CONFIG_MAP, "vision", version="1", seconds=30)
    return [next(changes).object["metadata"]["name"] for _ in range(count)]


def test_a_watch_that_breaks_goes_on_after_the_last_change(
    cluster: Cluster, script: Script
) -> None:
    script.answers = [
        (200, [event("ADDED", 2), event("MODIFIED", 3)[:30], BREAK]),
        (503, [b"starting"]),
        (200, [event("MODIFIED", 3), event("BOOKMARK", 7)]),
        (200, [event("ADDED", 8)]),
    ]
    assert names(cluster, 3) == ["n2", "n3", "n8"]
    assert [one["resourceVersion"] for one in script.asked] == ["1", "2", "2", "7"]
    assert all(one["allowWatchBookmarks"] == "true" for one in script.asked)


def test_a_version_that_is_forgotten_during_a_watch_is_stale(
    cluster: Cluster, script: Script
) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    gone = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    script.answers = [(200, [event("ADDED", 2), gone])]
    changes = cluster.watch(kinds.CONFIG_MAP, "vision", version="1")
    assert next(changes).version == "2"
    with pytest.raises(StaleError):
        next(changes)


def test_an_error_within_a_watch_that_may_pass_is_passed_over(
    cluster: Cluster, script: Script
) -> None:
    status = {"kind": "Status", "code": 500, "message": "etcd is away"}
    error = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    script.answers = [(200, [event("ADDED", 2), error]), (200, [event("ADDED", 3)])]
    assert names(cluster, 2) == ["n2", "n3"]


def test_a_watch_that_ends_at_once_again_and_again_has_an_end(
    cluster: Cluster, script: Script
) -> None:
    script.answers = [(200, [])] * 3
    with pytest.raises(UnavailableError, match="it ends each watch at once"):
        names(cluster, 1)


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b'{"type": "ADDED"}\n'])
def test_what_is_no_event(cluster: Cluster, script: Script, line: bytes) -> None:
    script.answers = [(200, [line])]
    with pytest.raises(ClocheError, match="does not answer as Kubernetes does"):
        names(cluster, 1)


STAMPS = [f"2026-01-01T00:00:0{second}.000000000Z" for second in range(5)]


def printed(*seconds: int) -> list[bytes]:
    return [f"{STAMPS[second]} line {second}\n".encode() for second in seconds]


def test_a_log_that_breaks_goes_on_after_the_last_line(cluster: Cluster, script: Script) -> None:
    script.answers = [
        (200, [*printed(0, 1), printed(2)[0][:12], BREAK]),
        (200, [*printed(1, 2, 3)]),
    ]
    lines = list(cluster.log("pod", "vision", "main", lines=10, follow=True))
    assert lines == ["line 0", "line 1", "line 2", "line 3"]
    assert script.asked == [
        {"container": "main", "timestamps": "true", "follow": "true", "tailLines": "10"},
        {"container": "main", "timestamps": "true", "follow": "true", "sinceTime": STAMPS[1]},
    ]


def test_a_log_that_breaks_before_its_first_line_begins_anew(
    cluster: Cluster, script: Script
) -> None:
    script.answers = [(200, [BREAK]), (200, printed(0))]
    assert list(cluster.log("pod", "vision", "main", lines=1)) == ["line 0"]
    assert [one["tailLines"] for one in script.asked] == ["1", "1"]


def test_odd_lines_of_a_log(cluster: Cluster, script: Script) -> None:
    odd = [f"{STAMPS[0]} a\u2028b\r".encode(), b"\n", STAMPS[1].encode() + b" \xff\n"]
    odd += [STAMPS[2].encode() + b" \n", STAMPS[3].encode() + b" end"]
    script.answers = [(200, odd)]
    lines = list(cluster.log("pod", "vision", "main", previous=True))
    assert lines == ["a\u2028b\r", "\ufffd", "", "end"]
    assert script.asked == [{"container": "main", "timestamps": "true", "previous": "true"}]


def test_a_container_that_has_not_started(cluster: Cluster, script: Script) -> None:
    message = 'container "main" in pod "pod" is waiting to start: ContainerCreating'
    script.answers = [(400, [json.dumps({"kind": "Status", "message": message}).encode()])]
    with pytest.raises(UnavailableError, match="ContainerCreating"):
        list(cluster.log("pod", "vision", "main"))
