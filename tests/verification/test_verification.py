"""Replaying a golden request against a server, and what its answer amounts to."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cloche.artifacts import (
    Golden,
    InferenceBody,
    Judge,
    RepositoryMember,
    RequestOrigin,
    TensorSpec,
    Verification,
)
from cloche.errors import ClocheError
from cloche.store import Store
from cloche.verification import replay as verification
from cloche.verification.reference.scripts import exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPECS = (TensorSpec("y", "FP32", (-1, 2)),)
MODEL = RepositoryMember("m", "onnxruntime", (), SPECS, 8)
RIGHT = {"y": np.ones((3, 2), "f4")}


@contextmanager
def server(status: int, body: bytes, header_length: int | None) -> Iterator[tuple[str, list[Any]]]:
    """Answer every request in the same way, and keep what was asked."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            seen.append((self.path, self.rfile.read(length), dict(self.headers)))
            self.send_response(status)
            if header_length is not None:
                self.send_header("Inference-Header-Content-Length", str(header_length))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", seen
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def keep(store: Store, tensors: Any, key: str) -> InferenceBody:
    body, length = exchange.encode(tensors, key)
    return InferenceBody(store.add_bytes(body), length)


def replay(
    store: Store, answer: Any, *, smoke: bool = False, status: int = 200
) -> tuple[Verification, list[Any]]:
    request = keep(store, {"x": np.zeros((3, 1), "f4")}, "inputs")
    expected = None if smoke else keep(store, RIGHT, "outputs")
    judge = Judge.SMOKE if smoke else Judge.REFERENCE
    golden = Golden(RequestOrigin.MADE, judge, (request,), expected)
    body, length = (
        exchange.encode(answer, "outputs") if isinstance(answer, dict) else (answer, None)
    )
    with server(status, body, length) as (url, seen):
        done = verification.verify(golden, url, model=MODEL, store=store)
    assert store.read(request.digest) == seen[0][1]
    return done, seen


def test_the_right_answer_passes_and_the_very_bytes_were_sent(store: Store) -> None:
    done, seen = replay(store, RIGHT)
    assert done.passed
    assert done.detail is None
    assert done.duration_ms > 0
    assert done.outputs[0].mismatched == 0
    path, _, headers = seen[0]
    assert path == "/v2/models/m/infer"
    assert {name.lower() for name in headers} >= {"inference-header-content-length"}


def test_a_wrong_answer_says_what_where_and_by_how_much(store: Store) -> None:
    wrong = RIGHT["y"].copy()
    wrong[2, 1] = 7
    done, _ = replay(store, {"y": wrong})
    assert not done.passed
    assert "y at [2, 1] is 7 instead of 1 (6 off" in str(done.detail)


def test_a_refusal_fails_with_the_servers_words(store: Store) -> None:
    done, _ = replay(store, json.dumps({"error": "shape mismatch"}).encode(), status=400)
    assert not done.passed
    assert "shape mismatch" in str(done.detail)


def test_an_invalid_answer_fails(store: Store) -> None:
    done, _ = replay(store, b"<html>hello</html>")
    assert not done.passed
    assert "not JSON" in str(done.detail)


def test_no_answer_at_all_says_nothing_of_the_model(store: Store) -> None:
    with pytest.raises(ClocheError) as caught:
        replay(store, b"", status=503)
    assert caught.value.retriable
    request = keep(store, {"x": np.zeros(1, "f4")}, "inputs")
    golden = Golden(RequestOrigin.MADE, Judge.SMOKE, (request,))
    with pytest.raises(ClocheError) as caught:
        verification.verify(golden, "http://127.0.0.1:9", model=MODEL, store=store)
    assert caught.value.retriable


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"y": np.ones((5, 2), "f4")}, None),
        ({"y": np.ones((5, 3), "f4")}, "has the shape [5, 3] where [-1, 2] is declared"),
        ({"y": np.ones((5, 2), "f8")}, "has the type FP64 where FP32 is declared"),
        ({"y": np.array([[1, np.nan]], "f4")}, None),
        ({"z": np.ones((5, 2), "f4")}, "is missing; the answer has z"),
    ],
)
def test_a_smoke_test_judges_by_what_is_declared(
    answer: Any, words: str | None, store: Store
) -> None:
    done, _ = replay(store, answer, smoke=True)
    assert done.passed is (words is None)
    assert words is None or words in str(done.detail)
