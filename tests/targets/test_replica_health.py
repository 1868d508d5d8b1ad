"""What one replica is asked: whether it is ready, its first request, its golden request."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from cloche.targets.local.health.golden_call import GoldenRequest
from cloche.targets.local.health.probing import Outcome
from cloche.targets.local.health.replica_health import Questions, ReplicaHealth, Watching
from cloche.targets.local.lifecycle import Life, Step
from cloche.targets.local.supervised import Record
from fixtures.local import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.targets.local.health.golden_call import GoldenAnswer

REQUEST = GoldenRequest("a model", b"{}1234", 2)
OTHER = GoldenRequest("a model", b"{}", None)
READY = ("/v2/models/a%20model/ready",)


class Server:
    """Answers once `answer` is set, and keeps what was asked."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.status = 200
        self.completed = 0
        self.seen: list[tuple[str, bytes, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                success = {"count": outer.completed, "ns": 0}
                stats = {"model_stats": [{"inference_stats": {"success": success}}]}
                self._say(200, json.dumps(stats).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                length = self.headers["inference-header-content-length"]
                outer.seen.append((self.path, body, length))
                outer.answer.wait(30)
                self._say(outer.status, b"an answer")

            def _say(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def record(self, pid: int, step: Step = Step.STARTING) -> Record:
        port = self.http.server_address[1]
        return Record("m-r1-0", "boot", Life(step), "", pid=pid, addresses=(f"127.0.0.1:{port}",))


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


class Strict:
    """Judges an answer by its status."""

    def outcome(self, answer: GoldenAnswer | None) -> Outcome:
        if answer is None:
            return Outcome(0.0, answered=False)
        wrong = None if answer.status == 200 else f"it was refused with {answer.status}"
        return Outcome(answer.seconds, wrong=wrong, refused=wrong is not None)


class Watched:
    """The health of one replica, as its supervisor asks for it."""

    def __init__(self, questions: Questions) -> None:
        self.others, self.probe, self.now = True, True, 0.0
        watching = Watching(lambda: self.others, lambda: 60.0, lambda: self.probe)
        self.health = ReplicaHealth(
            questions,
            Strict,  # type: ignore[arg-type]
            start_limit=30,
            watching=watching,
            clock=lambda: self.now,
        )

    def look(self, record: Record) -> tuple[bool, bool]:
        seen = self.health.of(record, lambda: True)
        return seen.ready, seen.replace


@pytest.mark.parametrize("status", [200, 400, 500])
def test_each_new_process_is_asked_once_and_any_answer_will_do(server: Server, status: int) -> None:
    server.status = status
    watched = Watched(Questions(READY, first=REQUEST))
    assert watched.look(server.record(1)) == (False, False)
    assert watched.look(server.record(1)) == (False, False)
    server.answer.set()
    until(lambda: watched.look(server.record(1)) == (True, False))
    assert server.seen == [("/v2/models/a%20model/infer", b"{}1234", "2")]
    until(lambda: watched.look(server.record(2)) == (True, False))
    assert len(server.seen) == 2
    watched.health.close()


def test_a_process_that_takes_no_connection_is_not_ready() -> None:
    watched = Watched(Questions(READY, first=REQUEST))
    gone = Record("m-r1-0", "boot", Life(Step.STARTING), "", pid=1, addresses=("127.0.0.1:9",))
    assert watched.look(gone) == (False, False)


def test_a_port_that_is_of_another_process_is_not_this_one(server: Server) -> None:
    watched = Watched(Questions(READY))
    assert not watched.health.of(server.record(1), lambda: False).ready
    assert watched.health.of(server.record(1), lambda: True).ready
    watched.health.close()


def test_a_silent_replica_is_asked_and_one_that_answers_others_is_not(server: Server) -> None:
    server.answer.set()
    watched, record = Watched(Questions(READY, probes=(REQUEST,))), server.record(1, Step.READY)
    for watched.now, server.completed in ((0, 0), (1, 1), (2, 2), (3, 3)):
        assert watched.look(record) == (True, False)
    until(lambda: len(server.seen) == 1)
    watched.now = 9.0
    watched.look(record)
    until(lambda: len(server.seen) == 2)
    watched.probe, watched.now = False, 99.0
    watched.look(record)
    assert len(server.seen) == 2
    watched.health.close()


def test_a_replica_that_hangs_leaves_the_traffic_and_comes_back(server: Server) -> None:
    watched, record = Watched(Questions(READY, probes=(REQUEST,))), server.record(1, Step.READY)
    server.answer.set()
    until(lambda: watched.look(record) == (True, False) and len(server.seen) == 1)
    server.answer.clear()
    watched.now = 10.0
    watched.look(record)
    watched.now = 20.0
    assert watched.look(record) == (False, False)
    watched.others = False
    assert watched.look(record) == (True, False)
    watched.others = True
    server.answer.set()
    until(lambda: watched.look(record) == (True, False))
    watched.health.close()


def test_wrong_answers_are_counted_for_one_process(server: Server) -> None:
    server.answer.set()
    server.status = 500
    watched = Watched(Questions(READY, probes=(REQUEST,)))
    until(lambda: watched.look(server.record(1, Step.READY)) == (False, True))
    server.status = 200
    assert watched.look(server.record(2, Step.READY)) == (True, False)
    watched.health.close()


def test_a_doubt_of_somebody_else_is_the_first_wrong_answer(server: Server) -> None:
    server.answer.set()
    watched, record = Watched(Questions(READY, probes=(REQUEST,))), server.record(1, Step.READY)
    until(lambda: watched.look(record) == (True, False) and len(server.seen) == 1)
    server.status = 500
    watched.health.doubt("y is 7")
    until(lambda: watched.look(record) == (False, True))
    assert len(server.seen) == 2
    watched.health.close()


def test_of_several_requests_the_first_that_is_accepted_is_asked(server: Server) -> None:
    server.answer.set()
    server.status = 400
    watched = Watched(Questions(READY, probes=(REQUEST, OTHER)))
    record = server.record(1, Step.READY)
    until(lambda: watched.look(record) == (True, False) and len(server.seen) == 1)
    server.status, watched.now = 200, 10.0
    until(lambda: watched.look(record) == (True, False) and len(server.seen) == 2)
    watched.now = 20.0
    until(lambda: watched.look(record) == (True, False) and len(server.seen) == 3)
    assert [length for _, _, length in server.seen] == ["2", None, None]
    watched.health.close()
