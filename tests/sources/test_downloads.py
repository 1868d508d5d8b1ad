"""Downloads against a real HTTP server that does what networks and servers do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloche.artifacts import FileEntry, digest_of
from cloche.clients.mlflow import Address
from cloche.clients.mlflow.transport import Transport
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.sources.downloads import Patience, RemoteFile, fetch
from cloche.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = bytes(range(256)) * 4096
"""1 MiB"""


class FaultyServer:
    """Sends `data`, and does with each request what the next of `faults` says."""

    def __init__(self) -> None:
        self.data = DATA
        self.tag: str | None = '"v1"'
        self.ranges = True
        self.faults: list[Callable[[BaseHTTPRequestHandler, bytes], None]] = []
        self.faults_of: dict[str, Callable[[BaseHTTPRequestHandler, bytes], None]] = {}
        """The same by path, for every request."""
        self.requests: list[str | None] = []
        """The Range of each request."""
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.requests.append(wanted)
        fault = self.faults.pop(0) if self.faults else None
        fault = self.faults_of.get(request.path, fault)
        start = 0
        if wanted and self.ranges and request.headers.get("If-Range") == self.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = self.data[start:]
        if fault in {refuse, forbid}:
            fault(request, body)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/*")
        if self.tag:
            request.send_header("ETag", self.tag)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if fault is None:
            request.wfile.write(body)
        else:
            fault(request, body)

    def stall(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        if len(body) == len(self.data):
            request.wfile.write(body[:200_000])
            request.wfile.flush()
        self.release.wait(30)
        request.close_connection = True

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def cut(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.wfile.write(body[:300_000])
    request.close_connection = True


def cut_at_once(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.close_connection = True


def refuse(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.send_response(503)
    request.send_header("Content-Length", "0")
    request.end_headers()


def forbid(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.send_response(403)
    request.send_header("Content-Length", "0")
    request.end_headers()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    faulty = FaultyServer()
    yield faulty
    faulty.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def bring(
    server: FaultyServer,
    store: Store,
    *,
    names: tuple[str, ...] = ("model.bin",),
    size: int | None = len(DATA),
    identity: str = "models:/m/1",
    stall: float = 5.0,
) -> tuple[FileEntry, ...]:
    transport = Transport(Address(server.url, "http"))
    try:
        return fetch(
            [RemoteFile(name, f"/files/{name}", size) for name in names],
            identity=identity,
            title="Fetching",
            server=transport,
            store=store,
            progress=SilentProgress(),
            patience=Patience(stall=stall, pause=0.01),
        )
    finally:
        transport.close()


WHOLE = (FileEntry("model.bin", len(DATA), digest_of(DATA)),)


def test_a_file_is_fetched_once(server: FaultyServer, store: Store) -> None:
    assert bring(server, store) == WHOLE
    assert store.read(WHOLE[0].digest) == DATA
    assert bring(server, store) == WHOLE
    assert server.requests == [None]
    assert list((store.root / "partial").iterdir()) == []


def test_another_version_is_fetched_anew(server: FaultyServer, store: Store) -> None:
    bring(server, store)
    server.data = DATA[::-1]
    (entry,) = bring(server, store, identity="models:/m/2")
    assert entry.digest == digest_of(server.data)


def test_a_cut_connection_is_taken_up_where_it_broke(server: FaultyServer, store: Store) -> None:
    server.faults = [cut, cut_at_once, cut]
    assert bring(server, store) == WHOLE
    assert server.requests[0] is None
    starts = [int((wanted or "bytes=0-")[6:-1]) for wanted in server.requests[1:]]
    assert len(starts) == 3
    assert starts == sorted(starts)
    assert starts[0] > 0


@pytest.mark.parametrize("why", ["no ranges", "no tag", "weak tag"])
def test_a_server_that_cannot_go_on_is_begun_again(
    server: FaultyServer, store: Store, why: str
) -> None:
    server.ranges = why != "no ranges"
    server.tag = {"no tag": None, "weak tag": 'W/"v1"'}.get(why, server.tag)
    server.faults = [cut]
    assert bring(server, store) == WHOLE
    assert len(server.requests) == 2


def test_a_file_that_changed_meanwhile_is_not_pasted_together(
    server: FaultyServer, store: Store
) -> None:
    def change_and_cut(request: BaseHTTPRequestHandler, body: bytes) -> None:
        cut(request, body)
        server.data, server.tag = DATA[::-1], '"v2"'

    server.faults = [change_and_cut]
    (entry,) = bring(server, store)
    assert entry.digest == digest_of(DATA[::-1])


def test_a_server_that_says_to_come_back_is_asked_again(server: FaultyServer, store: Store) -> None:
    server.faults = [refuse, refuse]
    assert bring(server, store) == WHOLE


def test_a_stalled_download_ends_and_keeps_what_arrived(server: FaultyServer, store: Store) -> None:
    server.faults = [server.stall] * 20
    with pytest.raises(ClocheError) as raised:
        bring(server, store, stall=0.2)
    assert raised.value.code == "source.download.cut"
    assert "no byte came" in raised.value.what
    assert raised.value.retriable
    server.faults = []
    assert bring(server, store) == WHOLE
    assert server.requests[-1] not in {None, "bytes=0-"}


@pytest.mark.parametrize("listed", [len(DATA) + 1, len(DATA) - 1, 1])
def test_a_file_of_another_size_than_listed_is_refused(
    server: FaultyServer, store: Store, listed: int
) -> None:
    with pytest.raises(ClocheError) as raised:
        bring(server, store, size=listed)
    assert raised.value.code == "source.download.size"


def test_a_file_of_no_listed_size_is_taken_at_its_word(server: FaultyServer, store: Store) -> None:
    assert bring(server, store, size=None) == WHOLE


def test_a_server_that_is_gone(server: FaultyServer, store: Store) -> None:
    url, server.url = server.url, "http://127.0.0.1:1"
    with pytest.raises(ClocheError) as raised:
        bring(server, store)
    assert raised.value.code == "mlflow.unreachable"
    server.url = url


def test_one_bad_file_stops_the_others_and_what_is_whole_stays(
    server: FaultyServer, store: Store
) -> None:
    names = tuple(str(i) for i in range(8))
    server.faults_of = {"/files/7": forbid, "/files/1": server.stall, "/files/2": server.stall}
    began = time.monotonic()
    with pytest.raises(ClocheError) as raised:
        bring(server, store, names=names, stall=60.0)
    assert raised.value.code == "mlflow.forbidden"
    assert time.monotonic() - began < 20
    server.faults_of, server.requests = {}, []
    assert len(bring(server, store, names=names)) == 8
    assert len(server.requests) < 8


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    server: FaultyServer, store: Store
) -> None:
    with pytest.raises(ClocheError) as raised:
        bring(server, store, size=2**60)
    assert raised.value.code == "store.full"
    assert server.requests == []


_FETCH = """
import sys
from pathlib import Path
from cloche.clients.mlflow import Address
from cloche.clients.mlflow.transport import Transport
from cloche.progress import SilentProgress
from cloche.sources.downloads import RemoteFile, fetch
from cloche.store import Store

fetch([RemoteFile("model.bin", "/files/model.bin", int(sys.argv[3]))], identity="models:/m/1",
      title="x", server=Transport(Address(sys.argv[1], "http")), store=Store(Path(sys.argv[2])),
      progress=SilentProgress())
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def arrived(store: Store) -> int:
    folder = store.root / "partial"
    return sum(path.stat().st_size for path in folder.glob("download-*")) if folder.is_dir() else 0


@pytest.mark.parametrize("killed", [True, False])
def test_two_processes_fetch_a_file_once(server: FaultyServer, store: Store, killed: bool) -> None:
    """The second waits for the first, and takes over where it was when it is killed."""
    server.faults = [server.stall]
    first = subprocess.Popen(
        [sys.executable, "-c", _FETCH, server.url, str(store.root), str(len(DATA))],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: arrived(store) > 0)
        second: list[tuple[FileEntry, ...]] = []
        thread = threading.Thread(target=lambda: second.append(bring(server, store)))
        thread.start()
        if killed:
            os.kill(first.pid, signal.SIGKILL)
        server.release.set()
        thread.join(30)
    finally:
        first.kill()
        first.wait()
    assert second == [WHOLE]
    assert len(server.requests) == 2
    assert server.requests[1] not in {None, "bytes=0-"}
