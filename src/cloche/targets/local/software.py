"""What a replica runs: Triton, laid out once per revision and started once per replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cloche.errors import ClocheError
from cloche.targets.local.supervisor import Launch

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelRepository
    from cloche.servers.triton import TritonInstallation
    from cloche.settings import Settings
    from cloche.store import Store

PORTS = 3
"""HTTP, gRPC and metrics, in this order."""


class Software(Protocol):
    """The server program of replicas, as far as a target needs to know it."""

    def lay_out(self, repository: ModelRepository, serving: Path) -> None:
        """Make the folder that the replicas of a revision share, whole or not at all."""

    def launch(self, serving: Path, name: str, ports: tuple[int, ...]) -> Launch:
        """Return how to start the replica `name` on such a folder."""

    def clean(self, serving: Path, name: str) -> None:
        """Remove what a replica left behind; nothing of it runs."""


class TritonSoftware:
    """Triton from its wheel, with the model's own environment where it has one."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._layout = settings.layout
        self._store = store
        self._installed: TritonInstallation | None = None

    def lay_out(self, repository: ModelRepository, serving: Path) -> None:
        from cloche.servers import triton

        environment = self._environment(repository)
        triton.lay_out(
            serving,
            self._store.tree_path(repository.digest),
            models=repository.models,
            environment=environment,
            python=None,
            installation=self._installation(),
        )

    def launch(self, serving: Path, name: str, ports: tuple[int, ...]) -> Launch:
        from cloche.servers import triton

        command = triton.command(
            self._installation(), serving, triton.ServerPorts(*ports), identity=name
        )
        return Launch(command.argv, command.env, ports)

    def clean(self, serving: Path, name: str) -> None:
        from cloche.servers import triton

        triton.clean_shared_memory(serving, name)

    def _installation(self) -> TritonInstallation:
        from cloche.servers import triton

        if self._installed is None or not self._installed.executable.exists():
            # The command that deploys installs it: here it is there, unless it was removed since.
            self._installed = triton.install(self._layout.servers)
        return self._installed

    def _environment(self, repository: ModelRepository) -> Path | None:
        if repository.lock_digest is None:
            return None
        folder = self._layout.environments / repository.lock_digest.removeprefix("sha256:")
        if not folder.is_dir():
            raise ClocheError(
                "target.local.environment",
                f"The environment of {repository.service} is not on this machine.",
                where=str(folder),
                hint="Deploy the model again: that makes its environment anew from its lock.",
            )
        return folder
