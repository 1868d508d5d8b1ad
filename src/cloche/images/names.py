"""The name of an image in a layout or an archive: what engines call it once it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.clients.oci import reference as references
from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.clients.oci.reference import ImageReference

_HUB = ("docker.io/library/", "docker.io/")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is written and as it is meant."""

    short: str
    """As the index of a layout has it, by which skopeo finds it: `oci:FOLDER:SHORT`."""
    full: str | None
    """With host and tag, `docker.io/library/scores:latest`; None if it is a bare word."""

    @property
    def familiar(self) -> str | None:
        """Return the full name without the host of Docker Hub, as Docker shows it."""
        if self.full is None:
            return None
        prefix = next((each for each in _HUB if self.full.startswith(each)), "")
        return self.full.removeprefix(prefix)


def parse(text: str) -> Name:
    """Return the name of `NAME:TAG` or `HOST/NAME:TAG`; raises UsageError `registry.reference`."""
    return Name(text, _full(references.parse(text)))


def of_service(service: str) -> Name:
    """Return the name that the image of a service has where nobody names another."""
    return Name(service, f"{_HUB[0]}{service}:latest")


def of_server(name: Name) -> Name:
    """Return the name of the server's image beside that of its models, in a layout."""
    whole = None if name.full is None else "-server:".join(name.full.rsplit(":", 1))
    before, colon, tag = name.short.rpartition(":")
    short = f"{before}-server:{tag}" if colon else f"{name.short}-server"
    return Name(short, whole)


def of_reference(reference: ImageReference) -> Name | None:
    """Return the name of an image from a registry; None for one that was named by its digest."""
    if reference.digest:
        return None
    return Name(_full(reference), _full(reference))


def found(short: str | None, full: str | None) -> Name | None:
    """Return the name of an image that was found under either."""
    word = short or full
    if word is None:
        return None
    try:
        is_whole = any(mark in word for mark in ":/")
        return Name(word, full or (_full(references.parse(word)) if is_whole else None))
    except UsageError:  # any text may stand there
        return Name(word, None)


def _full(reference: ImageReference) -> str:
    return f"{reference.host}/{reference.name}:{reference.tag or 'latest'}"
