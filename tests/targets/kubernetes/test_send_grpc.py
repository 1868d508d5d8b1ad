"""The script that calls a pod over gRPC with nothing but Python, against gRPC's own server."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from cloche.targets.kubernetes.asking_grpc import framed, unframed
from cloche.targets.kubernetes.probe import send_grpc

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
WORDS = "what a model says"


class Calls:
    """Answers each message with itself, or as the last part of the path says."""

    def service(self, details: Any) -> Any:
        metadata = dict(details.invocation_metadata)

        def answer(requests: Iterable[bytes], context: Any) -> Iterator[bytes]:
            received = list(requests)
            if details.method == "/test/refuse":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, WORDS)
            if details.method == "/test/metadata":
                yield metadata["cloche-service"].encode()
                return
            yield from received
            if details.method == "/test/late":
                context.abort(grpc.StatusCode.INTERNAL, WORDS)

        return grpc.stream_stream_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Calls()], options=UNLIMITED)
    chosen = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield chosen
    server.stop(None).wait()


@pytest.fixture
def call(
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Make a call, and return the head of the answer and its messages."""

    def run(path: str, *messages: bytes, at: int = port) -> tuple[dict[str, Any], list[bytes]]:
        asked = {"host": "127.0.0.1", "port": at, "path": path, "limit": 20,
                 "headers": {"cloche-service": "digits"}}  # fmt: skip
        (tmp_path / "request.json").write_text(json.dumps(asked))
        (tmp_path / "body").write_bytes(framed(messages))
        monkeypatch.setattr(send_grpc, "FOLDER", tmp_path)
        code = send_grpc.main()
        first, *lines = capsys.readouterr().out.splitlines()
        head = json.loads(first)
        assert code == int("error" in head)
        return head, list(unframed(b"".join(map(b64decode, lines))))

    return run


@pytest.mark.parametrize(
    "messages",
    [[], [b""], [b"one"], [b"one", b"two"], [os.urandom(400_000)], [os.urandom(70_000)] * 30],
    ids=["none", "empty", "one", "two", "beyond the first window", "two megabytes"],
)
def test_messages_come_back_as_they_were(call: Any, messages: list[bytes]) -> None:
    head, answers = call("/test/same", *messages)
    assert (head["status"], answers) == (0, messages)


def test_metadata_arrives(call: Any) -> None:
    assert call("/test/metadata", b"")[1] == [b"digits"]


@pytest.mark.parametrize(
    ("path", "status", "answers"),
    [("/test/refuse", 3, []), ("/test/late", 13, [b"one"])],
)
def test_a_refusal_has_its_words(call: Any, path: str, status: int, answers: list[bytes]) -> None:
    head, got = call(path, b"one")
    assert (head["status"], head["message"], got) == (status, WORDS, answers)


def test_nobody_answers(call: Any) -> None:
    head, answers = call("/test/same", b"one", at=1)
    assert (list(head), answers) == (["error"], [])


@pytest.mark.parametrize("value", [0, 126, 127, 128, 254, 255, 16_384, 2**20])
def test_numbers_of_hpack(value: int) -> None:
    assert send_grpc.read_number(send_grpc.number(value, 7), 0, 7)[0] == value


def test_headers_that_are_no_status_are_passed_over() -> None:
    """Of the table, coded by Huffman, kept in a table: RFC 7541, C.2 and C.4."""
    table, size, coded = b"\x82", b"\x3f\xe1\x1f", b"\x41\x8c" + bytes(12)
    status = b"\x40" + send_grpc.text("grpc-status") + send_grpc.text("5")
    assert send_grpc.fields(size + table + coded + status) == {"grpc-status": "5"}
