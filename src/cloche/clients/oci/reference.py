"""Names of images: `HOST[:PORT]/NAME[:TAG][@sha256:…]`, by the rules of Docker's own parser.

Without a host it is Docker Hub, where a name of one part is below `library/`:
https://pkg.go.dev/github.com/distribution/reference
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from cloche.errors import UsageError

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image, an index or another manifest in a registry."""

    host: str
    """With its port where one is written: `ghcr.io`, `127.0.0.1:5000`."""
    name: str
    """The repository: `org/image`."""
    tag: str | None = None
    digest: str | None = None
    """`sha256:…`; it decides where a tag is given, too."""

    @property
    def reference(self) -> str:
        """Return what names the manifest in its repository: the digest, the tag or `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        """Return the whole name, as `parse` reads it."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.name}{tag}{digest}"


def parse(text: str) -> ImageReference:
    """Return the reference that a text is; raises UsageError `registry.reference`."""
    rest, at, digest = text.partition("@")
    host, rest = _split_host(rest)
    name, colon, tag = rest.partition(":")
    if host == DOCKER_HUB and "/" not in name:
        name = f"library/{name}"
    if trouble := _trouble(text, host, name, tag if colon else None, digest if at else None):
        raise UsageError(
            "registry.reference", f"{text!r} does not name an image.", where=text, hint=trouble
        )
    return ImageReference(host, name, tag or None, digest or None)


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine."""
    bare = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost" or bare.endswith(".localhost")


def _split_host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_host = slash and (
        any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower()
    )
    if not is_host:
        return DOCKER_HUB, text
    return (DOCKER_HUB if first in _HUB_NAMES else first), rest


def _trouble(text: str, host: str, name: str, tag: str | None, digest: str | None) -> str | None:
    """Return what to write instead; None where all is well."""
    match = _HOST.fullmatch(host)
    is_host = match is not None and 0 < int(match["port"] or 443) < 2**16
    troubles = (
        ("://" in text, "Write HOST/NAME:TAG, without https://."),
        (not is_host, f"{host!r} is not a host: write HOST/NAME:TAG or HOST:PORT/NAME:TAG."),
        (
            _NAME.fullmatch(name) is None and _NAME.fullmatch(name.lower()),
            f"The name of an image is in lower case: {name.lower()}.",
        ),
        (
            not _NAME.fullmatch(name),
            "The name of an image has letters, digits and single marks (. _ -) between slashes.",
        ),
        (
            len(name) > _LONGEST_NAME,
            f"The name of an image has at most {_LONGEST_NAME} characters.",
        ),
        (
            tag is not None and not _TAG.fullmatch(tag),
            "A tag has up to 128 letters, digits and marks (. _ -), and begins with no . or -.",
        ),
        (
            digest is not None and not DIGEST.fullmatch(digest),
            "A digest is sha256: and 64 digits from 0 to f.",
        ),
    )
    return next((hint for is_wrong, hint in troubles if is_wrong), None)
