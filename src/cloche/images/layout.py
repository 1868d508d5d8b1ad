"""An OCI layout in a folder: blobs by digest, and an index of the images in it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.artifacts import encode
from cloche.clients.oci.reference import DIGEST
from cloche.clients.oci.referrers import subject_of
from cloche.errors import ClocheError
from cloche.files import sync_folder, temporary_name, write_all, write_atomically
from cloche.images import disk
from cloche.images.digesting import Digesting
from cloche.images.image import INDEX, MANIFEST, Platform, SmallBlob, changed
from cloche.images.manifest import described
from cloche.images.places import broken
from cloche.images.reading import FULL_NAME, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.images.image import Artifact, Image, Read

MARK = "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class Layout:
    """The destination of an image in a layout that exists, or will when it is whole: `shown`."""

    addressed = False

    def __init__(self, folder: Path, shown: Path) -> None:
        self._folder, self._shown = folder, shown
        self._blobs = folder / "blobs" / "sha256"
        self._attached: list[Artifact] = []
        self.added: list[Path] = []
        """The blobs that were written here."""

    def holds(self, digest: str) -> bool:
        """Return whether the blob is there: it got its name when it was whole."""
        return self._path(digest).is_file()

    def write(self, read: Read, size: int, digest: str | None = None) -> str:  # noqa: ARG002
        """Write a blob and return its digest."""
        with disk.writing(self._shown):
            return self._write(read, size)

    def attach(self, artifact: Artifact) -> None:
        """Write the manifest of an artefact; the index names it beside its subject."""
        with disk.writing(self._shown):
            self._put(artifact.manifest, artifact.descriptor.digest)
        self._attached.append(artifact)

    def finish(self, image: Image, name: str) -> None:
        """Write manifest and index, in which the image takes the place of one with its name.

        What was attached to that one goes with it.
        """
        with disk.writing(self._shown):
            self._finish(image, name)

    def _write(self, read: Read, size: int) -> str:
        temporary = self._blobs / temporary_name(".blob")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666)
        try:
            digesting = Digesting(read(0))
            for chunk in digesting:
                write_all(descriptor, chunk)
            if digesting.size != size:
                raise changed(digesting.digest)
            os.fsync(descriptor)
            path = self._path(digesting.digest)
            if not path.exists():
                self.added.append(path)
            temporary.rename(path)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
        return digesting.digest

    def _finish(self, image: Image, name: str) -> None:
        self._put(image.manifest, image.descriptor.digest)
        sync_folder(self._blobs)
        path = self._folder / "index.json"
        entries = _images(path) if path.exists() else []
        kept = [entry for entry in entries if _name(entry) != name]
        staying = {image.descriptor.digest, *map(_digest, kept)}
        lost = {*map(_digest, entries)} - staying
        others = [entry for entry in kept if not self._superseded(entry, image, lost)]
        write_atomically(path, index(image, name, self._attached, others))

    def _put(self, manifest: bytes, digest: str) -> None:
        if not self.holds(digest):
            self._write(SmallBlob(manifest, MANIFEST).chunks, len(manifest))

    def _superseded(self, entry: dict[str, Any], image: Image, lost: set[str]) -> bool:
        """Return whether an artefact lost its image, or one of its type is attached anew."""
        kind, digest = entry.get("artifactType"), _digest(entry)
        if kind is None or not DIGEST.fullmatch(digest) or not self.holds(digest):
            return False
        subject = subject_of(self._path(digest).read_bytes())
        anew = kind in {artifact.artifact_type for artifact in self._attached}
        return subject in lost or (subject == image.descriptor.digest and anew)

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")


def _images(path: Path) -> list[dict[str, Any]]:
    """Return the images of an index, as it describes them."""
    try:
        images: list[dict[str, Any]] = json.loads(path.read_bytes())["manifests"]
    except (ValueError, KeyError, TypeError) as error:
        raise broken(path, "its index is no JSON of an index") from error
    return images


def _name(entry: dict[str, Any]) -> str | None:
    return (entry.get("annotations") or {}).get(REFERENCE)


def _digest(entry: dict[str, Any]) -> str:
    return str(entry.get("digest"))


def index(
    image: Image,
    name: str,
    attached: Iterable[Artifact],
    others: Iterable[dict[str, Any]] = (),
) -> bytes:
    """Return the index of an image under a name, of what is attached to it, and of others."""
    annotations = {REFERENCE: name, FULL_NAME: f"docker.io/library/{tag(name)}"}
    entry = {
        **described(image.descriptor),
        "platform": _platform(image.platform),
        "annotations": annotations,
    }
    artifacts = [
        {**described(artifact.descriptor), "artifactType": artifact.artifact_type}
        for artifact in attached
    ]
    manifests = [*others, entry, *artifacts]
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def tag(name: str) -> str:
    """Return the name by which an engine knows a service's image once it is loaded."""
    return f"{name}:latest"


def _platform(platform: Platform) -> dict[str, str]:
    variant = {"variant": platform.variant} if platform.variant else {}
    return {"os": platform.os, "architecture": platform.architecture, **variant}


@contextmanager
def writing(folder: Path) -> Iterator[Layout]:
    """Yield the layout at `folder`; a new one appears whole, with its image.

    After an error, ctrl-C included, a new folder is gone and one that was there is as it was.
    Raises ClocheError `image.output` for a folder with something else in it.
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
    with disk.writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with disk.writing(folder):
            (temporary / "blobs" / "sha256").mkdir(parents=True)
            write_atomically(temporary / MARK, VERSION)
        yield Layout(temporary, folder)
        temporary.chmod(0o755)
        temporary.rename(folder)  # takes the place of an empty folder
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
