"""An installed Triton as a `cloche.servers.InstalledServer`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Self

from cloche.servers.triton import process
from cloche.servers.triton import serving as serving_folder
from cloche.servers.triton.installation import TritonInstallation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cloche.servers.server import ServerAddresses, ServerCommand


class InstalledTriton(TritonInstallation):
    """Implements `cloche.servers.InstalledServer`."""

    __slots__ = ()

    @classmethod
    def of(cls, installation: TritonInstallation) -> Self:
        """Return an installation as a server."""
        return cls(**{field.name: getattr(installation, field.name) for field in fields(cls)})

    def lay_out(
        self, destination: Path, tree: Path, *, models: Iterable[str], environment: Path | None
    ) -> Path:
        """Make the serving folder at `destination`; see `serving.lay_out`."""
        return serving_folder.lay_out(
            destination, tree, models=models, environment=environment, installation=self
        )

    def sockets(self, folder: Path, name: str) -> ServerAddresses:
        """Return the addresses of a replica on Unix sockets; see `process.sockets`."""
        return process.sockets(folder, name)

    def command(
        self,
        serving: Path,
        addresses: ServerAddresses,
        *,
        identity: str,
        environment: Mapping[str, str] | None = None,
    ) -> ServerCommand:
        """Return the command of a replica on a serving folder; see `process.command`."""
        return process.command(self, serving, addresses, identity=identity, environment=environment)
