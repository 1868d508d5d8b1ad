"""Files of package indexes, fetched by their address and digest, as uv would reach them."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cloche.clients import packages
from cloche.errors import ClocheError

DATA = b"a source" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
ALLOWED = f"Basic {b64encode(b'ann:a b/c').decode()}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == ALLOWED
        is_private, is_there = "/private/" in self.path, "missing" not in self.path
        status = 401 if is_private and not allowed else 200 if is_there else 404
        self.send_response(status)
        body = DATA if status == 200 else b"no"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def index() -> Iterator[str]:
    """The host of an index, whose private files ann may read."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def code(address: str, digest: str = DIGEST, **environment: str) -> str:
    with pytest.raises(ClocheError) as raised:
        packages.fetch(address, digest, environment)
    assert "a b/c" not in str(raised.value)
    return raised.value.code


def test_a_file_on_this_machine_and_on_another(tmp_path: Path, index: str) -> None:
    (tmp_path / "a source.tar.gz").write_bytes(DATA)
    local = (tmp_path / "a source.tar.gz").as_uri()
    nobody = {"NETRC": str(tmp_path / "none")}
    assert packages.fetch(local, DIGEST, nobody) == DATA
    assert packages.fetch(f"http://{index}/x/a%20b.tar.gz?key=1", DIGEST, nobody) == DATA


@pytest.mark.parametrize(
    "variables",
    [
        {"UV_INDEX_URL": "http://ann:a%20b%2Fc@{index}/simple"},
        {"UV_EXTRA_INDEX_URL": "https://other.test/simple http://ann:a%20b%2Fc@{index}/simple"},
        {
            "UV_INDEX": "my-own=http://{index}/simple", "UV_INDEX_MY_OWN_USERNAME": "ann",
            "UV_INDEX_MY_OWN_PASSWORD": "a b/c",
        },
        {"NETRC": "{netrc}"},
    ],
    ids=["in the address", "of several", "by its name", "netrc"],
)  # fmt: skip
def test_credentials_are_those_of_uv(tmp_path: Path, index: str, variables: dict[str, str]) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f'machine {index.partition(":")[0]} login ann password "a b/c"\n')
    given = {name: text.format(index=index, netrc=netrc) for name, text in variables.items()}
    assert packages.fetch(f"http://{index}/private/a.tar.gz", DIGEST, given) == DATA


def test_what_goes_wrong(tmp_path: Path, index: str) -> None:
    nobody = str(tmp_path / "none")
    assert code(f"http://{index}/private/a.tar.gz", NETRC=nobody) == "environment.access"
    assert code(f"http://{index}/missing.tar.gz", NETRC=nobody) == "environment.network"
    assert code("http://127.0.0.1:9/a.tar.gz", NETRC=nobody) == "environment.network"
    assert code((tmp_path / "gone.tar.gz").as_uri()) == "environment.network"
    other = f"sha256:{'0' * 64}"
    assert code(f"http://{index}/a.tar.gz", other, NETRC=nobody) == "environment.digest"
