"""Fetches a file of a package index whose address and digest are known."""

from __future__ import annotations

import hashlib
import re
import ssl
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import httpx

from cloche.clients.http import HttpReader, failure
from cloche.clients.streams import BrokenStreamError
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STALL = 60.0
_MOST = 2**30
"""Bytes of a file at most."""
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


def fetch(address: str, digest: str, environment: Mapping[str, str]) -> bytes:
    """Return the file at an address, `https:` or `file:`, whose digest is `sha256:<hex>`.

    Credentials are those that uv has for indexes of the same host, by its variables, and those of
    ~/.netrc. Raises ClocheError `environment.network` (retriable), `.access` and `.digest`.
    """
    parts = urlsplit(address)
    if parts.scheme == "file":
        data = _read(Path(unquote(parts.path)))
    else:
        base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        with closing(_Index(base, _authentication(parts.hostname, environment))) as index:
            asked = f"?{parts.query}" if parts.query else ""
            data = index.fetch(quote(unquote(parts.path)) + asked)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise ClocheError(
            "environment.digest",
            "The package index sends a file with another digest than it names.",
            where=address,
            hint="The file was changed on its way, or in the index. Check which index it is.",
        )
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(str(error.strerror or error), str(path)) from error


def _refused(why: str, where: str) -> ClocheError:
    return UnavailableError(
        "environment.network",
        f"A package cannot be fetched from its index: {why}.",
        where=where,
        hint="Check the network and the index, and run the command again.",
    )


def _authentication(host: str | None, environment: Mapping[str, str]) -> httpx.Auth | None:
    for name in _INDEXES:
        for entry in environment.get(name, "").split():
            label, _, address = entry.rpartition("=")
            known = urlsplit(address or entry)
            if known.hostname != host:
                continue
            key = re.sub(r"[^A-Z0-9]", "_", label.upper())
            user = unquote(known.username or "") or environment.get(f"UV_INDEX_{key}_USERNAME", "")
            word = unquote(known.password or "") or environment.get(f"UV_INDEX_{key}_PASSWORD", "")
            if user or word:
                return httpx.BasicAuth(user, word)
    netrc = Path(environment.get("NETRC") or Path.home() / ".netrc")
    return httpx.NetRCAuth(str(netrc)) if netrc.is_file() else None


class _Index(HttpReader):
    def __init__(self, base: str, authentication: httpx.Auth | None) -> None:
        super().__init__(
            base, authentication=authentication, tls=ssl.create_default_context()
        )  # fmt: skip

    def fetch(self, path: str) -> bytes:
        data = bytearray()
        try:
            with self.stream(path, {}, _STALL) as answer:
                answer.check()
                for block in answer.blocks():
                    data += block
                    if len(data) > _MOST:
                        raise _refused("the file is larger than 1 GiB", self.base)
        except BrokenStreamError as error:
            raise error.error from error
        return bytes(data)

    def check(self, response: httpx.Response) -> None:
        """Raise the error of an answer, if any."""
        if response.status_code in {401, 403}:
            raise ClocheError(
                "environment.access",
                "The package index refused access.",
                where=self.base,
                hint="Give the credentials of the index in UV_INDEX_URL,"
                " UV_INDEX_<NAME>_PASSWORD or ~/.netrc.",
            )
        if response.status_code >= 300:
            raise _refused(f"it answered {response.status_code}", self.base)

    def unreachable(self, error: httpx.RequestError) -> ClocheError:
        """Return the error for an unreachable or silent index."""
        return _refused(failure(error), self.base)
