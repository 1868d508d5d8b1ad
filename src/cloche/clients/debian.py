"""Fetches files of Debian's archives: from a mirror, or from the archive of all that there was.

A mirror has `debian/` and `debian-security/` under its address. It drops a version when a newer one
comes; snapshot.debian.org keeps all of them, by the time at which they were there.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from cloche.clients.http import HttpReader, failure, is_untrusted
from cloche.clients.streams import BrokenStreamError
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    import httpx

SNAPSHOTS = "https://snapshot.debian.org/archive"
_STALL = 30.0


class Mirror(HttpReader):
    """A connection to a mirror; with a `time` (`20261126T091442Z`), to an archive of snapshots."""

    def __init__(self, base: str, time: str | None = None) -> None:
        super().__init__(base, tls=ssl.create_default_context())
        self._time = time

    def fetch(self, path: str, size: int) -> bytes:
        """Return a file of `size` bytes, such as `debian/pool/main/b/bash/bash_5.2.deb`.

        Raises ClocheError `debian.missing`, `debian.size`, and `debian.unreachable` (retriable).
        """
        try:
            with self.stream(self._endpoint(path), {}, _STALL) as answer:
                answer.check()
                data = bytearray()
                for block in answer.blocks():
                    data += block
                    if len(data) > size:
                        break
        except BrokenStreamError as error:
            raise error.error from error
        if len(data) != size:
            raise ClocheError(
                "debian.size",
                f"{self._name} sends another file than the one that is pinned: its size is not"
                f" {size} bytes.",
                where=f"{self.base}/{path}",
                hint="Check images.debian_mirror (CLOCHE_IMAGES_DEBIAN_MIRROR).",
            )
        return bytes(data)

    def _endpoint(self, path: str) -> str:
        archive, _, inside = path.partition("/")
        between = f"{self._time}/" if self._time else ""
        return f"{self.base}/{archive}/{between}{quote(inside)}"

    @property
    def _name(self) -> str:
        return urlsplit(self.base).hostname or self.base

    def check(self, response: httpx.Response) -> None:
        """Raise the error of an answer, if any."""
        if response.status_code < 300:
            return
        if response.status_code in {404, 410}:
            raise ClocheError(
                "debian.missing",
                f"{self._name} does not have it.",
                where=str(response.url),
                hint="Name a mirror that has `debian/` and `debian-security/` under its address in"
                " images.debian_mirror (CLOCHE_IMAGES_DEBIAN_MIRROR).",
            )
        raise UnavailableError(
            "debian.refused",
            f"{self._name} answered {response.status_code}.",
            where=str(response.url),
            hint="Try again in a while, or name another mirror in images.debian_mirror"
            " (CLOCHE_IMAGES_DEBIAN_MIRROR).",
        )

    def unreachable(self, error: httpx.RequestError) -> ClocheError:
        """Return the error for an unreachable or silent mirror."""
        if is_untrusted(error):
            return ClocheError(
                "debian.certificate",
                f"The certificate of {self._name} is not trusted.",
                where=self.base,
                hint="Set SSL_CERT_FILE to its authority's certificate.",
            )
        return UnavailableError(
            "debian.unreachable",
            f"{self._name} cannot be reached: {failure(error)}.",
            where=self.base,
            hint="Check the network, or name a mirror in images.debian_mirror"
            " (CLOCHE_IMAGES_DEBIAN_MIRROR).",
        )
