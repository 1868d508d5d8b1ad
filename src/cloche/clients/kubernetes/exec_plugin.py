"""Programs that print credentials: the protocol client.authentication.k8s.io.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes.context import Certificate
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.clients.kubernetes.context import Plugin, Server

_SECONDS = 60.0
"""A plugin may ask another server, or wait for the user in a browser."""
_INSTALL = "Install it, or correct `command` in the kubeconfig."
_LAST = 500
"""Characters of a plugin's words in an error: the last ones say what failed."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a plugin printed."""

    token: str = field(repr=False)
    certificate: Certificate | None
    expires: datetime | None
    """None: it is good until the server refuses it."""


def run(
    plugin: Plugin, server: Server, environment: Mapping[str, str], seconds: float = _SECONDS
) -> Credential:
    """Return what a plugin prints for a server; it has no terminal.

    Raises ClocheError `kubernetes.exec`.
    """
    install = plugin.install or _INSTALL
    own = {**environment, **plugin.environment}
    path = shutil.which(plugin.command, path=own.get("PATH", ""))
    if path is None:
        raise _failed(plugin, "is not installed", install)
    own["KUBERNETES_EXEC_INFO"] = json.dumps(_info(plugin, server))
    try:
        status, out, err = _printed([path, *plugin.arguments], own, seconds)
    except OSError as error:
        raise _failed(plugin, f"does not start: {error.strerror}", install) from error
    except subprocess.TimeoutExpired as error:
        said = _words(error.stderr or b"")
        raise UnavailableError(
            "kubernetes.exec",
            f"{plugin.command}, which gives the credentials, did not end within"
            f" {seconds:g} seconds{said}.",
            hint=f"Run `{_line(plugin)}` to see what it waits for.",
        ) from None
    if status != 0:
        raise _failed(plugin, f"ended with status {status}{_words(err)}")
    return _parse(out, plugin)


def _printed(
    command: list[str], environment: dict[str, str], seconds: float
) -> tuple[int, bytes, bytes]:
    """Run a program in a session of its own, which is ended whole where it takes too long."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, out, err


def _info(plugin: Plugin, server: Server) -> dict[str, Any]:
    """Return what the plugin is told."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.knows_cluster:
        cluster = {
            "server": server.url,
            "tls-server-name": server.tls_name,
            "insecure-skip-tls-verify": server.insecure,
            "certificate-authority-data": base64.b64encode(server.authority or b"").decode(),
            "proxy-url": server.proxy,
            "config": server.settings,
        }
        spec["cluster"] = {key: value for key, value in cluster.items() if value}
    return {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}


def _parse(printed: bytes, plugin: Plugin) -> Credential:
    """Read an ExecCredential; its words are never shown, they may be the secret."""
    try:
        answer = json.loads(printed)
        version, status = answer["apiVersion"], answer["status"]
        token, chain, key, expires = (
            status.get(name) or ""
            for name in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
        )
        until = datetime.fromisoformat(expires) if expires else None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _failed(plugin, "did not print an ExecCredential") from None
    if version != plugin.api_version:
        wanted = plugin.api_version
        raise _failed(plugin, f"printed an ExecCredential of {version!s:.80}, not {wanted}")
    if not all(isinstance(text, str) for text in (token, chain, key)):
        raise _failed(plugin, "did not print an ExecCredential")
    if bool(chain) != bool(key) or not (token or chain):
        raise _failed(plugin, "printed neither a token nor a certificate with its key")
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return Credential(token, Certificate(chain.encode(), key.encode()) if chain else None, until)


def _words(stderr: bytes) -> str:
    """Return what a plugin said, as the end of a sentence."""
    said = " ".join(stderr.decode(errors="replace").split())[-_LAST:].rstrip(".")
    return f": {said}" if said else ""


def _line(plugin: Plugin) -> str:
    return " ".join((plugin.command, *plugin.arguments))


def _failed(plugin: Plugin, why: str, hint: str = "") -> ClocheError:
    asks = " It works at a terminal alone: log in there first." if plugin.always_asks else ""
    return ClocheError(
        "kubernetes.exec",
        f"{plugin.command}, which gives the credentials, {why}.",
        hint=hint or f"Run `{_line(plugin)}` to see why.{asks}",
    )
