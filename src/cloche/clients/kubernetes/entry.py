"""Entries of a kubeconfig: their fields, checked, as values."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cloche.clients.kubernetes.context import Certificate, Plugin, Server, User
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""Of the protocol of exec plugins."""
_EXTENSION = "client.authentication.k8s.io/exec"


@dataclass(frozen=True, slots=True)
class Entry:
    """One cluster, user or context of a file."""

    path: Path
    name: str
    """With its kind: `user alice`."""
    fields: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a field that is text; empty where it is missing."""
        value = self.fields.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"has a `{key}` that is not text; put it in quotes")
        return value or ""

    def flag(self, key: str) -> bool:
        """Return a field that is true or false."""
        value = self.fields.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"has a `{key}` that is neither true nor false")
        return bool(value)

    def texts(self, key: str) -> list[str]:
        """Return a field that is a list of texts."""
        value = self.fields.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.wrong(f"has a `{key}` that is not a list of texts")
        return value

    def file(self, key: str) -> Path | None:
        """Return a file that a field names, from the folder of its kubeconfig."""
        named = self.text(key)
        return self.path.parent / named if named else None

    def data(self, key: str) -> bytes | None:
        """Return what the field `KEY-data` has, or else the file that the field `KEY` names."""
        encoded = self.text(f"{key}-data")
        try:
            if encoded:
                return base64.b64decode(encoded, validate=True)
            path = self.file(key)
            return path.read_bytes() if path else None
        except binascii.Error:
            raise self.wrong(f"has a `{key}-data` that is not base64") from None
        except OSError as error:
            raise self.wrong(
                f"names a `{key}` that cannot be read ({error.filename}: {error.strerror})"
            ) from error

    def wrong(self, what: str) -> UsageError:
        """Return the error for a field."""
        return malformed(self.path, f"{self.name} {what}")


def malformed(path: Path, what: str) -> UsageError:
    """Return the error for a kubeconfig that says nothing that can be used."""
    return UsageError(
        "kubernetes.kubeconfig",
        f"A kubeconfig is wrong: {what}.",
        where=str(path),
        hint="Correct it, or get it anew from where your cluster is run.",
    )


def server_of(entry: Entry) -> Server:
    """Return the server of a cluster's entry."""
    url, proxy = entry.text("server").rstrip("/"), entry.text("proxy-url")
    if not _is_url(url, {"http", "https"}):
        raise entry.wrong("has no `server` that is a URL (https://HOST:PORT)")
    if proxy and not _is_url(proxy, {"http", "https"}):
        raise entry.wrong("has a `proxy-url` that is no HTTP proxy (http://HOST:PORT)")
    return Server(
        url,
        entry.data("certificate-authority"),
        entry.text("tls-server-name"),
        entry.flag("insecure-skip-tls-verify"),
        proxy,
        _settings(entry),
    )


def _is_url(text: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _settings(entry: Entry) -> Any:
    """Return what the entry says for exec plugins."""
    for one in entry.fields.get("extensions") or []:
        if isinstance(one, dict) and one.get("name") == _EXTENSION:
            return one.get("extension")
    return None


def user_of(entry: Entry) -> User:
    """Return the user of an entry."""
    if entry.fields.get("auth-provider"):
        raise UsageError(
            "kubernetes.auth_provider",
            f"{entry.name.capitalize()} uses an auth-provider, which Kubernetes has given up.",
            where=str(entry.path),
            hint="Get the kubeconfig anew with a current tool of your provider: it writes an"
            " exec plugin (such as gke-gcloud-auth-plugin, kubelogin) in its place.",
        )
    chain, key = entry.data("client-certificate"), entry.data("client-key")
    if (chain is None) != (key is None):
        raise entry.wrong("has a client-certificate without its client-key, or the other way round")
    return User(
        entry.text("token"),
        entry.file("tokenFile"),
        entry.text("username"),
        entry.text("password"),
        Certificate(chain, key) if chain is not None and key is not None else None,
        _plugin(entry) if entry.fields.get("exec") else None,
        _impersonation(entry),
    )


def _plugin(entry: Entry) -> Plugin:
    fields = entry.fields["exec"]
    if not isinstance(fields, dict):
        raise entry.wrong("has an `exec` that is not a section")
    own = Entry(entry.path, f"{entry.name}: `exec`", fields)
    command, version = own.text("command"), own.text("apiVersion")
    if not command or version not in API_VERSIONS:
        raise own.wrong(f"needs a `command` and an `apiVersion` of {' or '.join(API_VERSIONS)}")
    if "/" in command:
        command = str(entry.path.parent / command)
    return Plugin(
        command,
        tuple(own.texts("args")),
        _variables(own),
        version,
        own.flag("provideClusterInfo"),
        own.text("interactiveMode") == "Always",
        " ".join(own.text("installHint").split()),
    )


def _variables(entry: Entry) -> dict[str, str]:
    variables = {}
    for one in entry.fields.get("env") or []:
        pair = Entry(entry.path, f"{entry.name}: `env`", one if isinstance(one, dict) else {})
        if not pair.text("name"):
            raise entry.wrong("has an entry of `env` without a name")
        variables[pair.text("name")] = pair.text("value")
    return variables


def _impersonation(entry: Entry) -> tuple[tuple[str, str], ...]:
    headers = [("Impersonate-User", entry.text("as")), ("Impersonate-Uid", entry.text("as-uid"))]
    headers += [("Impersonate-Group", group) for group in entry.texts("as-groups")]
    extra = Entry(entry.path, entry.name, entry.fields.get("as-user-extra") or {})
    for key in extra.fields:
        name = f"Impersonate-Extra-{quote(key, safe='')}"
        headers += [(name, value) for value in extra.texts(key)]
    return tuple((name, value) for name, value in headers if value)
