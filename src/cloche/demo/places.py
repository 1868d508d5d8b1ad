"""The folders and ports of the demo."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import settings as machine
from cloche.client import Client
from cloche.clients.control.record import unusable

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.settings import Settings

MLFLOW_PORT = 5000


@dataclass(frozen=True, slots=True)
class Places:
    """The user's settings, and the demo's own."""

    outer: Settings
    """The user's own, with Triton, Envoy and environments, which the demo shares."""
    inner: Settings
    """The home of the demo's services."""
    mlflow_port: int = MLFLOW_PORT

    @classmethod
    def under(cls, settings: Settings) -> Places:
        """Return the places in a home, with the usual ports."""
        return cls(settings, replace(settings, home=settings.layout.demo, control_port=0))

    @property
    def registry(self) -> Path:
        """Return MLflow's folder: database, artifacts, log."""
        return self.inner.home / "mlflow"

    @property
    def process_file(self) -> Path:
        """Return the file that records MLflow's process."""
        return self.registry / "process.json"

    @property
    def tracking_uri(self) -> str:
        """Return MLflow's address."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    def client(self, progress: Progress) -> Client:
        """Return a client of the demo's services that uses the demo's MLflow."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        ours = {**machine.variables(self.inner), "MLFLOW_TRACKING_URI": self.tracking_uri}
        return Client(progress=progress, environment={**kept, **ours})

    def renew(self) -> Places:
        """Empty the demo's home, and return the places with free ports."""
        from cloche.targets.local import ports

        home = self.inner.home
        try:
            _remove(home)
            self.registry.mkdir(parents=True)
            for ours, shared in self._shared_folders():
                shared.mkdir(exist_ok=True)
                ours.symlink_to(shared)
        except OSError as error:
            raise unusable(home, error) from error
        host, gateway = self.inner.gateway_host, self.inner.gateway_port
        if not ports.free(host, gateway):
            (gateway,) = ports.choose(1)
        mlflow = self.mlflow_port
        if not ports.free("127.0.0.1", mlflow):
            (mlflow,) = ports.choose(1, {gateway})
        # For commands that a reader of the report may try with CLOCHE_HOME set to this folder.
        settings = f'[gateway]\nhost = "{host}"\nport = {gateway}\n'
        self.inner.layout.config.write_text(settings, encoding="utf-8")
        return replace(self, inner=replace(self.inner, gateway_port=gateway), mlflow_port=mlflow)

    def _shared_folders(self) -> tuple[tuple[Path, Path], ...]:
        """Return the demo's folders that link to the user's own, with their targets."""
        inner, outer = self.inner.layout, self.outer.layout
        return (inner.servers, outer.servers), (inner.environments, outer.environments)


def _remove(folder: Path) -> None:
    """Remove a tree, including read-only folders of the store, without following links."""
    if not folder.exists():
        return
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)  # noqa: PTH101
    shutil.rmtree(folder)
