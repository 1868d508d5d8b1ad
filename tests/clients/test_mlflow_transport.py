"""What answers at an address is not always an MLflow server in good health."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from cloche.clients.mlflow import Address, Credentials
from cloche.clients.mlflow.transport import Transport
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "correct horse"


class Answering:
    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers.items()))
                status, body = outer.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.close()


@pytest.fixture
def transport(server: Answering) -> Iterator[Transport]:
    made = Transport(
        Address(server.url, "http", credentials=Credentials("ann", SECRET), workspace="w")
    )
    yield made
    made.close()


def error(code: str, message: str) -> str:
    return json.dumps({"error_code": code, "message": message})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "<html>Sign in</html>", "mlflow.not_mlflow"),
        (200, "[1]", "mlflow.not_mlflow"),
        (404, "<html>nginx</html>", "mlflow.not_mlflow"),
        (401, "who are you", "mlflow.unauthorized"),
        (403, error("PERMISSION_DENIED", "no"), "mlflow.forbidden"),
        (404, error("RESOURCE_DOES_NOT_EXIST", "gone"), "mlflow.missing"),
        (400, error("INVALID_PARAMETER_VALUE", "alias x not found."), "mlflow.missing"),
        (400, error("INVALID_PARAMETER_VALUE", "bad name"), "mlflow.refused"),
        (500, error("INTERNAL_ERROR", "database is gone"), "mlflow.refused again"),
        (500, "oops", "mlflow.refused again"),
    ],
)  # fmt: skip
def test_each_answer_has_its_error(
    server: Answering, transport: Transport, status: int, body: str, expected: str
) -> None:
    server.answers = [(status, body)]
    with pytest.raises(ClocheError) as raised:
        transport.get("/api/2.0/mlflow/runs/get", run_id="1")
    assert raised.value.code == expected.removesuffix(" again")
    assert raised.value.retriable == expected.endswith(" again")
    assert raised.value.where == server.url
    assert SECRET not in str(raised.value.to_dict())


def test_a_busy_server_is_asked_again(
    server: Answering, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("cloche.clients.http.time.sleep", pauses.append)
    server.answers = [(503, ""), (429, ""), (200, '{"ok": 1}')]
    assert transport.get("/x") == {"ok": 1}
    assert pauses == [0.3, 1.0]
    server.answers = [(503, "")] * 4
    with pytest.raises(ClocheError, match="503"):
        transport.get("/x")


def test_credentials_and_workspace_are_sent(server: Answering, transport: Transport) -> None:
    server.answers = [(200, "{}")]
    transport.get("/x")
    assert server.headers[0]["Authorization"].startswith("Basic ")
    assert server.headers[0]["X-MLFLOW-WORKSPACE"] == "w"

    bearer = Transport(Address(server.url, "http", credentials=Credentials(token="t")))
    server.answers = [(200, "{}")]
    bearer.get("/x")
    bearer.close()
    assert server.headers[1]["Authorization"] == "Bearer t"


def test_a_server_that_is_not_there() -> None:
    transport = Transport(Address("http://127.0.0.1:1", "http"))
    with pytest.raises(ClocheError) as raised:
        transport.get("/x")
    transport.close()
    assert raised.value.code == "mlflow.unreachable"
    assert raised.value.retriable
