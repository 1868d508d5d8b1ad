"""What a context of a kubeconfig says: the server, and who asks there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Server:
    """An API server, and how it is reached."""

    url: str
    """Without a slash at its end; it may have a path."""
    authority: bytes | None = None
    """Certificates in PEM; None for those that this machine trusts."""
    tls_name: str = ""
    """The name that its certificate has, where that is not the URL's host."""
    insecure: bool = False
    """Whether any certificate will do."""
    proxy: str = ""
    settings: Any = None
    """What the file says for the exec plugin (extension client.authentication.k8s.io/exec)."""

    @property
    def is_secure(self) -> bool:
        """Return whether it speaks TLS."""
        return self.url.startswith("https:")

    @property
    def is_loopback(self) -> bool:
        """Return whether it is on this machine, which no proxy reaches."""
        return urlsplit(self.url).hostname in _LOOPBACK


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate and its key, in PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that prints credentials."""

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    api_version: str
    knows_cluster: bool
    """Whether it is told which cluster it is for."""
    always_asks: bool
    """Whether it works only with somebody at a terminal."""
    install: str
    """What to do where it is missing."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: what the file has of these, the first one first."""

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """Goes before the token; it changes from time to time."""
    username: str = ""
    password: str = field(default="", repr=False)
    certificate: Certificate | None = None
    plugin: Plugin | None = None
    impersonation: tuple[tuple[str, str], ...] = ()
    """Headers that ask to be somebody else."""


@dataclass(frozen=True, slots=True)
class Context:
    """A context that was found, with all that its names lead to."""

    name: str
    server: Server
    user: User
    namespace: str = "default"
