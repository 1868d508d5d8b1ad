"""An OCI layout in a folder: blobs by digest, and an index of the images in it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cloche.artifacts import encode
from cloche.clients.oci.reference import DIGEST
from cloche.clients.oci.referrers import referrer_of, subject_of
from cloche.errors import ClocheError
from cloche.files import sync_folder, temporary_name, write_all, write_atomically
from cloche.images.destinations import begun, disk
from cloche.images.destinations.digesting import Digesting
from cloche.images.image import INDEX, PARALLEL, changed
from cloche.images.manifest import described
from cloche.images.sources.places import broken
from cloche.images.sources.reading import FULL_NAME, INDEXES, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cloche.images.image import Attachment, Platform, Read, SmallBlob
    from cloche.images.names import Name

MARK = "oci-layout"
_CHANGED = "image.changed"
_BLOCK = 2**20
VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class Layout:
    """The destination of an image in a layout that exists, or will when it is whole: `shown`."""

    parallel = PARALLEL
    mounted: frozenset[str] = frozenset()

    def __init__(self, folder: Path, shown: Path, *, resumed: bool = False) -> None:
        self._folder, self._shown, self._resumed = folder, shown, resumed
        self._blobs = folder / "blobs" / "sha256"
        self._referring: list[SmallBlob] = []
        self.added: list[Path] = []
        """The blobs that were written here."""
        self._asked: set[str] = set()

    def addressed(self, size: int) -> bool:  # noqa: ARG002
        """Return False: a blob gets its name at its end."""
        return False

    def holds(self, digest: str) -> bool:
        """Return whether the blob is there: it got its name when it was whole."""
        self._asked.add(digest)
        return self._path(digest).is_file()

    def drop_others(self) -> None:
        """Remove blobs that nobody asked for: an earlier command began with another image."""
        for path in self._blobs.iterdir():
            if f"sha256:{path.name}" not in self._asked:
                path.unlink()

    def write(self, read: Read, size: int, digest: str | None = None) -> str:
        """Write a blob and return its digest; go on where an earlier command broke off."""
        with disk.writing(self._shown):
            if digest is None or not self._resumed:
                return self._write(read, size)
            return self._resume(read, size, digest)

    def has_alike(self, attachment: Attachment, subject: str) -> bool:  # noqa: ARG002
        """Return False: what is written takes the place of what was there."""
        return False

    def put(self, manifest: SmallBlob) -> None:
        """Write a manifest; the index names one with a subject beside it."""
        with disk.writing(self._shown):
            self._put(manifest)
        if subject_of(manifest.data):
            self._referring.append(manifest)

    def finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None:
        """Write manifest and index, in which the image takes the place of one with its name.

        What refers to that one goes with it.
        """
        with disk.writing(self._shown):
            self._finish(root, name, platform)

    def _write(self, read: Read, size: int) -> str:
        temporary = self._blobs / temporary_name(".blob")
        try:
            return self._take(temporary, read, size)
        finally:
            temporary.unlink(missing_ok=True)

    def _resume(self, read: Read, size: int, digest: str) -> str:
        partial = self._path(digest).with_suffix(".partial")
        began_before = partial.exists()
        try:
            return self._take(partial, read, size, digest)
        except ClocheError as error:
            if error.code != _CHANGED:
                raise
            partial.unlink(missing_ok=True)
            if not began_before:
                raise
        return self._take(partial, read, size, digest)  # what was kept was damaged

    def _take(self, path: Path, read: Read, size: int, wanted: str | None = None) -> str:
        """Write the rest of a blob to a file, and give that its name."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
        try:
            with os.fdopen(os.dup(descriptor), "rb") as kept:
                begin = os.fstat(descriptor).st_size
                digesting = Digesting(read(begin) if begin < size else ())
                digesting.begin(iter(lambda: kept.read(_BLOCK), b""))
            for chunk in digesting:
                write_all(descriptor, chunk)
            if digesting.size != size or wanted not in {None, digesting.digest}:
                raise changed(digesting.digest)
            os.fsync(descriptor)
            named = self._path(digesting.digest)
            if not named.exists():
                self.added.append(named)
            path.rename(named)
        finally:
            os.close(descriptor)
        self._asked.add(digesting.digest)
        return digesting.digest

    def _finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None:
        self._put(root)
        sync_folder(self._blobs)
        path = self._folder / "index.json"
        entries = _images(path) if path.exists() else []
        new = [entry(root, name, platform), *map(referrer, self._referring)]
        short = name.short if name is not None else None
        kept = [each for each in entries if not _is_same(each, new[0]["digest"], short)]
        lost = self._named(entries) - self._named([*kept, *new])
        write_atomically(path, index([*self._still_referring(kept, new, lost), *new]))

    def _put(self, manifest: SmallBlob) -> None:
        descriptor = manifest.descriptor
        if not self.holds(descriptor.digest):
            self._write(manifest.chunks, descriptor.size)

    def _named(self, entries: list[dict[str, Any]]) -> set[str]:
        """Return the digests of manifests in an index, and of those in an index below."""
        digests = {*map(_digest, entries)}
        for each in entries:
            path = self._path(_digest(each))
            if each.get("mediaType") in INDEXES and DIGEST.fullmatch(_digest(each)):
                digests |= {*map(_digest, _images(path) if path.exists() else [])}
        return digests

    def _still_referring(
        self, entries: list[dict[str, Any]], new: list[dict[str, Any]], lost: set[str]
    ) -> list[dict[str, Any]]:
        """Return entries without what refers to lost ones, or to what is lost by that."""
        kept = [each for each in entries if not self._superseded(each, new, lost)]
        gone = {*map(_digest, entries)} - {*map(_digest, (*kept, *new))}
        return self._still_referring(kept, new, gone) if gone else kept

    def _superseded(self, old: dict[str, Any], new: list[dict[str, Any]], lost: set[str]) -> bool:
        """Return whether an artefact lost its image, or one of its type refers to it anew."""
        kind, digest = old.get("artifactType"), _digest(old)
        if digest in map(_digest, new[1:]):
            return True
        if kind is None or not DIGEST.fullmatch(digest) or not self.holds(digest):
            return False
        subject = subject_of(self._path(digest).read_bytes())
        anew = {(subject_of(each.data), kind_of(each)) for each in self._referring}
        return subject in lost or (subject, kind) in anew

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")


def _images(path: Path) -> list[dict[str, Any]]:
    """Return the images of an index, as it describes them."""
    try:
        images: list[dict[str, Any]] = json.loads(path.read_bytes())["manifests"]
    except (ValueError, KeyError, TypeError) as error:
        raise broken(path, "its index is no JSON of an index") from error
    return images


def _is_same(entry: dict[str, Any], digest: str, short: str | None) -> bool:
    """Return whether an entry has the name of a new image, or is it where neither has one."""
    if entry.get("artifactType"):
        return False
    named = (entry.get("annotations") or {}).get(REFERENCE)
    return named == short and (named is not None or _digest(entry) == digest)


def _digest(entry: dict[str, Any]) -> str:
    return str(entry.get("digest"))


def entry(root: SmallBlob, name: Name | None, platform: Platform | None) -> dict[str, Any]:
    """Return what the index of a layout says of an image, or of the index of several."""
    known = {REFERENCE: name.short, FULL_NAME: name.full} if name is not None else {}
    annotations = {key: text for key, text in known.items() if text}
    return {
        **described(root.descriptor),
        **({"platform": platform.fields} if platform is not None else {}),
        **({"annotations": annotations} if annotations else {}),
    }


def referrer(manifest: SmallBlob) -> dict[str, Any]:
    """Return what the index of a layout says of a manifest that has a subject."""
    return {**described(manifest.descriptor), "artifactType": kind_of(manifest)}


def kind_of(manifest: SmallBlob) -> str:
    """Return the type of an artefact."""
    descriptor = manifest.descriptor
    return referrer_of(manifest.data, descriptor.digest, descriptor.media_type).artifact_type


def index(entries: Iterable[dict[str, Any]]) -> bytes:
    """Return the index of a layout."""
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)})


@contextmanager
def writing(folder: Path, *, resumed: bool = False) -> Iterator[Layout]:
    """Yield the layout at `folder`; a new one appears whole, with its image.

    After an error, ctrl-C included, a new folder is gone and one that was there is as it was. What
    was written of a new one is kept beside it with `resumed`, if another try may help. Raises
    ClocheError `image.output` for a folder with something else in it.
    """
    if check(folder):
        layout = Layout(folder, folder)
        try:
            yield layout
        except BaseException:
            for path in layout.added:
                path.unlink(missing_ok=True)
            raise
        return
    with begun.written(folder, kept=resumed) as temporary:
        with disk.writing(folder):
            (temporary / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            write_atomically(temporary / MARK, VERSION)
        layout = Layout(temporary, folder, resumed=resumed)
        yield layout
        layout.drop_others()


def check(folder: Path) -> bool:
    """Return whether a layout is there; raises `image.output` for anything else but nothing."""
    if (folder / MARK).is_file() and (folder / "blobs" / "sha256").is_dir():
        return True
    if (folder.is_dir() and not any(folder.iterdir())) or not folder.exists():
        return False
    raise ClocheError(
        "image.output",
        "The folder holds something else than an OCI layout."
        if folder.is_dir()
        else "This is a file; a name that does not end in .tar is taken for a folder.",
        where=str(folder),
        hint="Name a new folder, or a file whose name ends in .tar.",
    )
