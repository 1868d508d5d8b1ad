"""Where an image is, as a user writes it: in a registry, in a layout, or in an archive.

The forms with a prefix are those of skopeo: `docker://HOST/NAME:TAG`, `oci:FOLDER[:NAME]`,
`oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`. Without one, what exists, what begins like
a path and what ends in `.tar` is a path; all else is a reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cloche.clients.oci import reference as references
from cloche.clients.oci.reference import ImageReference
from cloche.errors import UsageError

_REGISTRY = "docker://"
_LOCAL = re.compile(r"(?P<form>oci|oci-archive|docker-archive):(?P<path>[^:]+)(:(?P<name>.+))?")
_PATH = re.compile(r"(\.{0,2}/|~|.*\.(tar|tgz|tar\.gz)$)")


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An image in a folder or a file of this machine."""

    path: Path
    is_archive: bool
    """Whether it is a file; what is there decides where something is."""
    name: str | None = None
    """Of one image among several; the short or the full one."""

    def __str__(self) -> str:
        """Return the path, and the name as `parse` reads it."""
        if self.name is None:
            return str(self.path)
        return f"{'oci-archive' if self.is_archive else 'oci'}:{self.path}:{self.name}"


Address = ImageReference | LocalAddress


def parse(text: str) -> Address:
    """Return what a text names; raises UsageError `registry.reference`."""
    return local(text) if is_local(text) else references.parse(text.removeprefix(_REGISTRY))


def is_local(text: str) -> bool:
    """Return whether a text names a folder or a file of this machine."""
    if text.startswith(_REGISTRY):
        return False
    is_path = _PATH.match(text) is not None or Path(text).expanduser().exists()
    return is_path or _LOCAL.fullmatch(text) is not None


def local(text: str) -> LocalAddress:
    """Return the folder or the file that a text names, which may be a bare word."""
    match = None if Path(text).expanduser().exists() else _LOCAL.fullmatch(text)
    if match is not None:
        path = Path(match["path"]).expanduser()
        return LocalAddress(path, match["form"] != "oci", match["name"])
    path = Path(text).expanduser()
    return LocalAddress(path, path.is_file() or (path.suffix == ".tar" and not path.is_dir()))


def target(text: str) -> Address:
    """Return where an image goes; a bare word is refused, since it may be meant as a folder."""
    if not is_local(text) and "/" not in text:
        raise UsageError(
            "image.target",
            f"{text!r} is neither a path nor a name with its registry.",
            where=text,
            hint=f"Write ./{text} for a folder, or HOST/NAME:TAG.",
        )
    return parse(text)


def require_local(text: str, usage: str) -> LocalAddress:
    """Return the address of a path; raises UsageError `image.path` for what is in a registry."""
    if text.startswith(_REGISTRY):
        raise UsageError(
            "image.path", f"{text!r} is in a registry.", where=text, hint=_both_ways(usage)
        )
    return local(text)


def require_reference(text: str, usage: str) -> ImageReference:
    """Return the reference of a text; raises UsageError `image.reference` for a path."""
    if is_local(text):
        raise UsageError(
            "image.reference",
            f"{text!r} is a path, not the name of an image in a registry.",
            where=text,
            hint=_both_ways(usage),
        )
    return references.parse(text.removeprefix(_REGISTRY))


def require_different(source: Address, to: Address) -> None:
    """Raise UsageError `image.same` if an image would be copied to itself."""
    if _place(source) == _place(to):
        raise UsageError(
            "image.same",
            "The image would be copied to itself.",
            where=str(to),
            hint="Name another tag, repository, folder or file.",
        )


def _place(address: Address) -> object:
    if isinstance(address, ImageReference):
        return (address.host, address.name, address.reference)
    # An archive is written anew, whatever it holds.
    return (address.path.resolve(), None if address.is_archive else address.name)


def _both_ways(usage: str) -> str:
    return f"Write `cloche image {usage}`; `cloche image copy` takes either on both sides."
