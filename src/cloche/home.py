"""Where things are in a home, the folder that holds everything Cloche keeps.

    config.toml      the settings of this machine        cloche.schema.json   for editors
    state.db         services, revisions, events         store/               files by digest
    environments/    models' virtual environments        servers/             Triton, Envoy
    logs/            one per server, and our own         demo/                the demo's own home
    run/             what runs: the folder is gone when everything was ended on purpose
    control.lock, control.json, token, principal         of the control plane

Every folder and file of a home is named here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_home(environment: Mapping[str, str]) -> Path:
    """Return `CLOCHE_HOME`, or `~/.cloche` where it is not set."""
    return Path(environment.get("CLOCHE_HOME") or Path.home() / ".cloche").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class HomeLayout:
    """The folders and files of one home; none of them need exist."""

    root: Path

    # ── what is kept ──────────────────────────────────────────────────────────────────────────

    @property
    def config(self) -> Path:
        """Return the file of settings."""
        return self.root / "config.toml"

    @property
    def schema(self) -> Path:
        """Return the JSON schema of cloche.yaml that editors are pointed to."""
        return self.root / "cloche.schema.json"

    @property
    def state(self) -> Path:
        """Return the database of services, revisions and events."""
        return self.root / "state.db"

    @property
    def store(self) -> Path:
        """Return the folder of the content-addressed store."""
        return self.root / "store"

    @property
    def environments(self) -> Path:
        """Return the folder of models' environments, by the digest of their lock."""
        return self.root / "environments"

    @property
    def servers(self) -> Path:
        """Return the folder that Triton and Envoy are installed in."""
        return self.root / "servers"

    @property
    def demo(self) -> Path:
        """Return the home of the demo."""
        return self.root / "demo"

    # ── the control plane ─────────────────────────────────────────────────────────────────────

    @property
    def control_lock(self) -> Path:
        """Return the file that a control plane keeps locked for as long as it lives."""
        return self.root / "control.lock"

    @property
    def control_record(self) -> Path:
        """Return the file that says where the control plane answers."""
        return self.root / "control.json"

    @property
    def token(self) -> Path:
        """Return the file of the token that the API asks for."""
        return self.root / "token"

    @property
    def principal(self) -> Path:
        """Return the file that says who the bearer of the token is."""
        return self.root / "principal"

    # ── what runs ─────────────────────────────────────────────────────────────────────────────

    @property
    def run(self) -> Path:
        """Return the folder of what runs."""
        return self.root / "run"

    @property
    def target_lock(self) -> Path:
        """Return the file that the keeper of the servers keeps locked."""
        return self.run / "target.lock"

    @property
    def revisions(self) -> Path:
        """Return the folder that has one folder per revision that runs."""
        return self.run / "revisions"

    @property
    def routes(self) -> Path:
        """Return the file of the routes that the target was told."""
        return self.run / "routes.json"

    @property
    def gateway(self) -> Path:
        """Return the folder of the files that the gateway follows."""
        return self.run / "gateway"

    @property
    def gateway_record(self) -> Path:
        """Return the record of the gateway's process."""
        return self.run / "gateway.json"

    @property
    def logs(self) -> Path:
        """Return the folder of logs."""
        return self.root / "logs"

    def log(self, name: str) -> Path:
        """Return the log of a server by its name, such as `digits-r3-0` or `gateway`."""
        return self.logs / f"{name}.log"
