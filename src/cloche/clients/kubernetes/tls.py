"""Whom to trust, and the certificate to show."""

from __future__ import annotations

import ssl
import tempfile
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.clients.kubernetes.context import Certificate, Server


class _NamedContext(ssl.SSLContext):
    """Asks for one name, whatever the host of the URL is; also behind a proxy."""

    name = ""

    def wrap_socket(self, *arguments: Any, **keywords: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*arguments, **self._named(keywords))

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        return super().wrap_bio(*arguments, **self._named(keywords))

    def _named(self, keywords: dict[str, Any]) -> dict[str, Any]:
        return {**keywords, "server_hostname": self.name or keywords.get("server_hostname")}


def tls(server: Server, certificate: Certificate | None) -> ssl.SSLContext:
    """Return the context of connections to a server.

    It is not strict about the form of authorities (VERIFY_X509_STRICT), as kubectl is not.
    Raises ClocheError `kubernetes.certificate`.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = server.tls_name
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if server.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif server.authority is None:
        context.load_default_certs()
    else:
        _trust(context, server.authority)
    if certificate is not None:
        _show(context, certificate)
    return context


def _trust(context: ssl.SSLContext, authority: bytes) -> None:
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise _unusable("authority's certificate") from None


def _show(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Load a client's certificate; its key stands on the disk, for its owner, only meanwhile."""
    with tempfile.NamedTemporaryFile(prefix="cloche-") as file:  # 0600
        file.write(certificate.chain.rstrip() + b"\n" + certificate.key)
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_no_password)
        except (ValueError, ssl.SSLError):
            raise _unusable("client's certificate or its key") from None


def _no_password() -> str:
    """Return none: OpenSSL would ask at the terminal."""
    return ""


def _unusable(what: str) -> UsageError:
    return UsageError(
        "kubernetes.certificate",
        f"The {what} of the kubeconfig cannot be used.",
        hint="It has to be PEM, the key without a password and that of the certificate.",
    )
