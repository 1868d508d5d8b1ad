"""A package index over HTTP on loopback: pages of the simple API, with or without sizes."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class PackageIndex(ThreadingHTTPServer):
    """Serves the wheels in the folders of packages, as `wheels.write` makes them."""

    daemon_threads = True

    def __init__(self, folder: Path, *, sized: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.sized = folder, sized
        self.asked_for: set[str] = set()
        """The packages whose pages were asked for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class _Handler(BaseHTTPRequestHandler):
    server: PackageIndex

    def do_GET(self) -> None:
        _, kind, name, *rest = self.path.partition("?")[0].split("/")
        files = sorted((self.server.folder / name).glob("*.whl"))
        if kind == "files":
            wanted = rest[0].replace("%2B", "+")
            body = next(file.read_bytes() for file in files if file.name == wanted)
            self._answer(200, "application/zip", body)
            return
        self.server.asked_for.add(name)
        if not files:
            self._answer(404, "text/plain", b"no such package")
        elif self.server.sized:
            entries = [_entry(name, file) for file in files]
            page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": entries}
            self._answer(200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode())
        else:
            links = (_link(_entry(name, file)) for file in files)
            self._answer(200, "text/html", f"<!DOCTYPE html>{''.join(links)}".encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def _entry(name: str, file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    url = f"/files/{name}/{file.name.replace('+', '%2B')}"
    return {"filename": file.name, "url": url, "hashes": {"sha256": digest}, "size": len(data)}


def _link(entry: dict[str, Any]) -> str:
    return f'<a href="{entry["url"]}#sha256={entry["hashes"]["sha256"]}">{entry["filename"]}</a>'


@contextmanager
def serving(folder: Path, *, sized: bool = True) -> Iterator[PackageIndex]:
    """Serve a folder of packages until the context ends."""
    index = PackageIndex(folder, sized=sized)
    thread = threading.Thread(target=index.serve_forever, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.shutdown()
        thread.join()
        index.server_close()
