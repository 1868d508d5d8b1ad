"""A place where an image goes, and is read back from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.artifacts import Deployment
from cloche.clients.oci import reference as references
from cloche.images.bases.base import Base
from cloche.images.image import Artifact, Image, Platform
from cloche.images.sources import reading, remote
from cloche.images.sources.reading import ReadImage
from cloche.pipeline.image import Registries, push_image, write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings

AMD64 = Platform("linux", "amd64")


@dataclass(frozen=True)
class Output:
    """A layout, an archive or a repository that no other test has."""

    place: str
    folder: Path
    base: Base
    settings: Settings
    connections: Registries
    host: str | None = None

    @property
    def text(self) -> str:
        """As a user writes it."""
        return f"{self.host}/{self.place}:v1" if self.host else str(self.folder / self.place)

    def build(self, deployment: Deployment) -> Image:
        """Write the image of a deployment."""
        how: dict[str, Any] = {"settings": self.settings, "progress": SilentProgress()}
        if self.host is None:
            return write_image(deployment, [self.base], self.folder / self.place, **how).images[0]
        reference = references.parse(self.text)
        return push_image(deployment, [self.base], reference, self.connections, **how).images[0]

    def read(self, kind: str | None = None) -> tuple[ReadImage, tuple[Artifact, ...]]:
        """Read the image, and what of a kind is attached to it, or all."""
        if self.host is None:
            path = self.folder / self.place
            found = reading.read(path)
            return found, reading.attached(path, found.digest or "", kind)
        registry = self.connections.at(self.host)
        found = remote.read(registry, references.parse(self.text), AMD64)
        return found, remote.attached(registry, self.place, found.digest or "", kind)
