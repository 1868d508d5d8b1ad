"""A proxy on loopback behind which an index answers for any server of HTTPS."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from package_index import IndexHandler, PackageIndex

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2")


@dataclass(frozen=True)
class Certificate:
    """A certificate of a server, by an authority made for it alone."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context


def certificate(folder: Path, name: str) -> Certificate:
    """Make the certificate of a server with openssl."""
    folder.mkdir()
    signed = ("-CA", "authority.pem", "-CAkey", "authority.key")
    for what, more in (
        ("authority", ("-addext", "keyUsage=keyCertSign")),
        ("server", (*signed, "-addext", f"subjectAltName=DNS:{name}",
                    "-addext", "basicConstraints=critical,CA:FALSE")),
    ):  # fmt: skip
        files = ("-keyout", f"{what}.key", "-out", f"{what}.pem", "-subj", f"/CN={what}")
        program = ["openssl", "req", "-x509", *_KEY, *files, *more]
        subprocess.run(program, cwd=folder, check=True, capture_output=True)
    return Certificate(folder)


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
