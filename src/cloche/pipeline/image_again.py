"""A command that builds an image which it built before is answered by what it answered then.

That holds where the command is the same, the files that it reads (by their `stat`), its base, and
what lies where the image goes. Then nothing is read, computed or written, and what all this takes
is not even imported. Whatever is not certain to be the same goes the whole way.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche import composition, settings
from cloche.artifacts import decode, digest_of, encode
from cloche.images import addresses
from cloche.images.image import PARALLEL
from cloche.store.states import UnsettledError, state_beside, state_of
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Deployment
    from cloche.clients.oci.reference import ImageReference
    from cloche.pipeline.image import Built, Registries
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec

_KIND = "image-build"
_NO_FILE = "none"
_OWN = "cpu"
"""The base that follows from the version of Cloche."""
_CHOOSING = ("CLOCHE_", "UV_", "PIP_")
"""Beginnings of the environment variables that choose what is in an image."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What a command reads: its base, the model, other files."""

    base: str
    model: str
    is_file: bool
    """Whether the model is a file; then what lies beside it may belong to it."""
    others: tuple[str, ...]

    def state(self, connections: Registries) -> str | None:
        """Return the state of all of it; None where that cannot be told."""
        try:
            files = [[path, state_of(Path(path))] for path in self.others]
            state = state_beside if self.is_file else state_of
            files.append([self.model, state(Path(self.model))])
            base = _state_of_base(self.base, connections)
        except UnsettledError:
            return None
        return digest_of(encode([base, files])) if base else None


@dataclass(frozen=True, slots=True)
class _Made:
    """The digests of what was built: of the image or the index, of its images, of their blobs."""

    digest: str
    images: tuple[str, ...]
    blobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a command found, and what it answered."""

    read: _Read
    inputs: str
    made: _Made
    there: str
    """The state of what lies where the image went."""
    report: dict[str, Any]


@dataclass(slots=True)
class BuildCommand:
    """One command: all its words, and where its image goes."""

    words: Mapping[str, object]
    file: Path | None
    """The cloche.yaml that it reads."""
    reference: ImageReference | None
    output: Path | None
    settings: Settings
    connections: Registries
    _file_state: str | None = field(default=None, init=False)
    _read: _Read | None = field(default=None, init=False)
    _inputs: str | None = field(default=None, init=False)

    def answer(self) -> dict[str, Any] | None:
        """Return what the command answered before, if it would do so again.

        Raises ClocheError `registry.…` where a registry cannot be asked.
        """
        self._file_state = self._state_of_file()
        data = composition.store(self.settings).recall(_KIND, self._key())
        if data is None:
            return None
        with suppress(ValueError):  # another state of this version wrote it
            kept = decode(_Kept, data)
            is_same = kept.read.state(self.connections) == kept.inputs
            if is_same and self._there(kept.made) == kept.there:
                return kept.report
        return None

    def watch(self, spec: ServiceSpec, directory: Path, base: str) -> None:
        """Look at what is about to be read for a spec."""
        model = _absolute(spec.model, directory)
        others = [_absolute(each, directory) for each in (spec.example, spec.labels) if each]
        if self.file is not None:
            others.append(self.file)
        if model.exists() and all(map(_is_text, (model, *others))):
            self._read = _Read(base, str(model), model.is_file(), tuple(map(str, others)))
            self._inputs = self._read.state(self.connections)

    def keep(self, deployment: Deployment, built: Built, report: dict[str, Any]) -> None:
        """Remember what the command answered, unless something else than its inputs decided it."""
        read, inputs, snapshot = self._read, self._inputs, deployment.main.snapshot
        if read is None or inputs is None or snapshot.pinned != read.model:
            return
        if read.is_file and any("/" in file.path for file in snapshot.files):
            return
        # Findings tell of what this machine has, such as the Python that compiled.
        if built.findings or built.server is not None:
            return
        made = _made(built)
        there = self._there(made)
        if there is None or self._file_state is None:
            return
        if self._state_of_file() == self._file_state and read.state(self.connections) == inputs:
            kept = encode(_Kept(read, inputs, made, there, report))
            composition.store(self.settings).remember(_KIND, self._key(), kept)

    def _key(self) -> str:
        chosen = {name: value for name, value in os.environ.items() if name.startswith(_CHOOSING)}
        words = {name: value and str(value) for name, value in self.words.items()}
        known = [__version__, str(Path.cwd()), words, chosen, settings.variables(self.settings)]
        return digest_of(ascii(known).encode()).removeprefix("sha256:")

    def _state_of_file(self) -> str | None:
        with suppress(UnsettledError):
            return state_of(self.file) if self.file is not None else _NO_FILE
        return None

    def _there(self, made: _Made) -> str | None:
        """Return the state of the image where it went; None if something of it is missing."""
        states: list[object] = []
        if self.output is not None:
            states.append(_in_layout(self.output, made))
        if self.reference is not None:
            states.append(_in_registry(self.reference, made, self.connections))
        return digest_of(encode(states)) if states and all(states) else None


def _made(built: Built) -> _Made:
    blobs = (
        blob.descriptor.digest for image in built.images for blob in (image.config, *image.layers)
    )
    images = tuple(image.descriptor.digest for image in built.images)
    return _Made(built.digest, images, tuple(dict.fromkeys(blobs)))


def _state_of_base(text: str, connections: Registries) -> str | None:
    if text == _OWN:
        return text
    found = addresses.parse(text)
    if isinstance(found, addresses.LocalAddress):
        # The blobs of a layout have their digests in their names.
        return state_of(found.path / "index.json" if found.path.is_dir() else found.path)
    return connections.at(found.host).manifest_digest(found.name, found.reference)


def _in_registry(reference: ImageReference, made: _Made, connections: Registries) -> object:
    registry, name = connections.at(reference.host), reference.name
    if registry.manifest_digest(name, reference.reference) != made.digest:
        return None
    with ThreadPoolExecutor(PARALLEL, "cloche-again") as pool:
        if not all(pool.map(lambda blob: registry.has_blob(name, blob), made.blobs)):
            return None
    subjects = dict.fromkeys((made.digest, *made.images))
    return [sorted(each.digest for each in registry.referrers(name, one)) for one in subjects]


def _in_layout(folder: Path, made: _Made) -> str | None:
    digests = (made.digest, *made.images, *made.blobs)
    held = (folder / "blobs" / "sha256" / each.removeprefix("sha256:") for each in digests)
    index = folder / "index.json"
    if not index.is_file() or not all(path.is_file() for path in held):
        return None
    return digest_of(index.read_bytes())


def _is_text(path: Path) -> bool:
    """Return whether JSON can have a path: not every name of a file is UTF-8."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def _absolute(text: str, directory: Path) -> Path:
    with suppress(RuntimeError):  # ~name of a user that does not exist
        return (directory / Path(text).expanduser()).absolute()
    return (directory / text).absolute()
