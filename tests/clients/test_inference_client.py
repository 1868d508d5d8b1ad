from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from cloche.clients.kserve.client import InferenceClient
from cloche.errors import ClocheError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answering(BaseHTTPRequestHandler):
    """Answers from a table of paths, and records what it was asked."""

    answers: ClassVar[dict[str, tuple[int, bytes, dict[str, str]]]] = {}
    asked: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []
    release = threading.Event()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append((self.command, self.path, headers, body))
        if self.path == "/v2/models/slow/infer":
            self.release.wait(20)
        status, answer, extra = self.answers.get(self.path, (404, b"", {}))
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def client() -> Iterator[InferenceClient]:
    Answering.answers.clear()
    Answering.asked.clear()
    Answering.release.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with InferenceClient(f"http://127.0.0.1:{server.server_port}/", timeout=0.5) as one:
            yield one
    finally:
        Answering.release.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def test_a_request_goes_and_an_answer_comes_as_it_is(client: InferenceClient) -> None:
    Answering.answers["/v2/models/a%2Fb/infer"] = (
        200, b'{"outputs":[]}\0\1',
        {"Inference-Header-Content-Length": "14", "Cloche-Revision": "3"},
    )  # fmt: skip
    answer = client.infer("a/b", b"{}\0", 2, headers={"cloche-service": "x"})
    assert (answer.body, answer.header_length) == (b'{"outputs":[]}\0\1', 14)
    assert answer.headers["cloche-revision"] == "3"
    [(method, _, headers, body)] = Answering.asked
    assert (method, body) == ("POST", b"{}\0")
    assert headers["inference-header-content-length"] == "2"
    assert headers["content-type"] == "application/octet-stream"
    assert headers["cloche-service"] == "x"
    assert headers["accept-encoding"] == "identity"


def test_versions_and_health(client: InferenceClient) -> None:
    Answering.answers["/v2/models/m/versions/1/ready"] = (200, b"", {})
    assert not client.ready()
    assert client.ready("m", "1")


@pytest.mark.parametrize(
    ("status", "body", "words", "retriable"),
    [
        (400, b'{"error": "unexpected input"}', "unexpected input", False),
        (503, b"upstream connect error", "upstream connect error", True),
        (404, b"", "Not Found", False),
        (500, b'{"error": 5}', '{"error": 5}', False),
    ],
)  # fmt: skip
def test_a_refusal_carries_the_servers_words(
    client: InferenceClient, status: int, body: bytes, words: str, *, retriable: bool
) -> None:
    Answering.answers["/v2/models/m/infer"] = (status, body, {})
    with pytest.raises(ClocheError) as caught:
        client.infer("m", b"{}")
    assert caught.value.code == "inference.refused"
    assert f"{status}: {words}" in caught.value.what
    assert caught.value.retriable is retriable


def test_silence_ends_in_time(client: InferenceClient) -> None:
    with pytest.raises(UnavailableError) as caught:
        client.infer("slow", b"{}")
    assert caught.value.code == "inference.timeout"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with InferenceClient(f"http://127.0.0.1:{taken.getsockname()[1]}", timeout=5) as client:
            assert not client.ready()
            with pytest.raises(UnavailableError) as caught:
                client.infer("m", b"{}")
    assert caught.value.code == "inference.unreachable"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", ""])
def test_an_invalid_address(url: str) -> None:
    with pytest.raises(UsageError) as caught, InferenceClient(url, timeout=5) as client:
        client.infer("m", b"{}")
    assert caught.value.code == "inference.url"


def test_credentials_of_an_address_are_not_shown() -> None:
    client = InferenceClient("http://user:secret@127.0.0.1:1", timeout=5)
    with client, pytest.raises(UnavailableError) as caught:
        client.infer("m", b"{}")
    assert "secret" not in f"{caught.value.to_dict()}"
