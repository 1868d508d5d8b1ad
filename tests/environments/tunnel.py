"""A proxy on loopback behind which an index answers for any server of HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from package_index import IndexHandler, PackageIndex

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class Proxy(PackageIndex):
    """Answers with the packages of a folder in place of the server that a client asks for."""

    def __init__(self, folder: Path, tls: ssl.SSLContext) -> None:
        super().__init__(folder, sized=False, handler=_Tunnel)
        self.tls = tls

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Tunnel(IndexHandler):
    server: Proxy

    def do_CONNECT(self) -> None:  # noqa: N802 - the name of the method
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def finish(self) -> None:
        super().finish()
        self.connection.close()
