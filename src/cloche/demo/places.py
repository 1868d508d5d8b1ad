"""Where the parts of the demo stand and listen."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.clients.control.record import unusable

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.settings import Settings

MLFLOW_PORT = 5000
SHARED = ("servers", "environments")


@dataclass(frozen=True, slots=True)
class Places:
    """The user's settings and, below them, the demo's own."""

    outer: Settings
    """Where Triton, Envoy and environments are installed, for the demo and for everything else."""
    inner: Settings
    """The home of the demo's services."""
    mlflow_port: int = MLFLOW_PORT

    @classmethod
    def under(cls, settings: Settings) -> Places:
        """Return the places below a home, with the usual ports."""
        return cls(settings, replace(settings, home=settings.home / "demo", control_port=0))

    @property
    def registry(self) -> Path:
        """Return MLflow's folder: database, artifacts, log."""
        return self.inner.home / "mlflow"

    @property
    def process_file(self) -> Path:
        """Return the file that says which process MLflow is."""
        return self.registry / "process.json"

    @property
    def tracking_uri(self) -> str:
        """Return MLflow's address."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    def made_anew(self) -> Places:
        """Empty the demo's home, and return the places with ports that are free."""
        from cloche.targets.local import ports

        home = self.inner.home
        try:
            _remove(home)
            self.registry.mkdir(parents=True)
            for name in SHARED:
                (self.outer.home / name).mkdir(exist_ok=True)
                (home / name).symlink_to(self.outer.home / name)
        except OSError as error:
            raise unusable(home, error) from error
        host, gateway = self.inner.gateway_host, self.inner.gateway_port
        if not ports.free(host, gateway):
            (gateway,) = ports.choose(1)
        mlflow = self.mlflow_port
        if not ports.free("127.0.0.1", mlflow):
            (mlflow,) = ports.choose(1, {gateway})
        # For the commands that a reader of the report may try, with CLOCHE_HOME on this folder.
        settings = f'[gateway]\nhost = "{host}"\nport = {gateway}\n'
        (home / "config.toml").write_text(settings, encoding="utf-8")
        return replace(self, inner=replace(self.inner, gateway_port=gateway), mlflow_port=mlflow)


def _remove(folder: Path) -> None:
    """Remove a tree with the store's read-only folders in it; links are not followed."""
    if not folder.exists():
        return
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)  # noqa: PTH101
    shutil.rmtree(folder)
