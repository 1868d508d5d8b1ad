"""A package index over HTTP on loopback: pages of the simple API, with or without sizes."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


_JSON = "application/vnd.pypi.simple.v1+json"
Index = TypeVar("Index", bound="PackageIndex")


class PackageIndex(ThreadingHTTPServer):
    """Serves the wheels in the folders of packages, as `wheels.write` makes them."""

    daemon_threads = True

    def __init__(
        self, folder: Path, *, sized: bool, handler: type[BaseHTTPRequestHandler] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler or IndexHandler)
        self.folder, self.sized = folder, sized
        self.asked_for: set[str] = set()
        """The packages whose pages were asked for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class IndexHandler(BaseHTTPRequestHandler):
    """Answers with the page of a package, or one of its files, whatever is before them."""

    server: PackageIndex

    def do_GET(self) -> None:
        *folders, name = self.path.strip("/").split("/")
        if name.endswith(".whl"):
            file = self.server.folder / folders[-1] / name.replace("%2B", "+")
            self._answer(200, "application/zip", file.read_bytes())
            return
        files = sorted((self.server.folder / name).glob("*.whl"))
        self.server.asked_for.add(name)
        if not files:
            self._answer(404, "text/plain", b"no such package")
        elif self.server.sized and _JSON in self.headers["Accept"]:
            entries = [_entry(name, file) for file in files]
            page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": entries}
            self._answer(200, _JSON, json.dumps(page).encode())
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


def serving(folder: Path, *, sized: bool = True) -> AbstractContextManager[PackageIndex]:
    """Serve a folder of packages until the context ends."""
    return running(PackageIndex(folder, sized=sized))


@contextmanager
def running(index: Index) -> Iterator[Index]:
    """Let an index answer until the context ends."""
    thread = threading.Thread(target=index.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.shutdown()
        thread.join()
        index.server_close()
