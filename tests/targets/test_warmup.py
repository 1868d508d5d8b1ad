"""A new replica answers one request before it is ready, whatever it answers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from cloche.targets.local.lifecycle import Life
from cloche.targets.local.supervised import Record
from cloche.targets.local.warmup import FirstRequest, WarmUp
from fixtures.local import until

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = FirstRequest("a model", b"{}1234", 2)


class Server:
    """Answers once `answer` is set, and keeps what was asked."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.status = 200
        self.seen: list[tuple[str, bytes, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                length = self.headers["inference-header-content-length"]
                outer.seen.append((self.path, body, length))
                outer.answer.wait(30)
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def record(self, pid: int) -> Record:
        return Record("m-r1-0", "boot", Life(), "", pid=pid, ports=(self.http.server_address[1],))


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever)
    thread.start()
    yield made
    made.answer.set()
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.mark.parametrize("status", [200, 400, 500])
def test_each_process_is_asked_once_and_any_answer_will_do(server: Server, status: int) -> None:
    server.status = status
    warm = WarmUp(REQUEST, 30)
    assert not warm.done(server.record(1))
    assert not warm.done(server.record(1))
    server.answer.set()
    until(lambda: warm.done(server.record(1)))
    assert server.seen == [("/v2/models/a%20model/infer", b"{}1234", "2")]
    until(lambda: warm.done(server.record(2)))
    assert len(server.seen) == 2


def test_a_process_that_takes_no_connection_is_not_waited_for(server: Server) -> None:
    warm = WarmUp(REQUEST, 30)
    gone = Record("m-r1-0", "boot", Life(), "", pid=1, ports=(9,))
    until(lambda: warm.done(gone))
