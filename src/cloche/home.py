"""The layout of a home, the folder that holds everything Cloche keeps.

    config.toml      the settings of this machine        cloche.schema.json   for editors
    state.db         services, revisions, events         store/               files by digest
    state.reserve    given up for the state on a full disk
    environments/    models' virtual environments        servers/             Triton, Envoy
    containers/      images that were loaded for replicas
    documents/       revisions of clusters, by the digest of their document
    clusters.json    the cluster that each context led to
    logs/            one per server, and our own         demo/                the demo's own home
    run/             what runs: the folder is gone when everything was ended on purpose
    control.lock, control.json, token, principal         of the control plane

Every folder and file of a home is named here only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_home(environment: Mapping[str, str]) -> Path:
    """Return `CLOCHE_HOME`, or `~/.cloche` if it is not set."""
    return Path(environment.get("CLOCHE_HOME") or Path.home() / ".cloche").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class HomeLayout:
    """The folders and files of one home; they may not exist."""

    root: Path

    # ── data ──────────────────────────────────────────────────────────────────────────────────

    @property
    def config(self) -> Path:
        """Return the settings file."""
        return self.root / "config.toml"

    @property
    def schema(self) -> Path:
        """Return the JSON schema of cloche.yaml, for editors."""
        return self.root / "cloche.schema.json"

    @property
    def state(self) -> Path:
        """Return the database of services, revisions and events."""
        return self.root / "state.db"

    @property
    def state_reserve(self) -> Path:
        """Return the file that is given up for the state when the disk is full."""
        return self.root / "state.reserve"

    @property
    def store(self) -> Path:
        """Return the folder of the content-addressed store."""
        return self.root / "store"

    @property
    def environments(self) -> Path:
        """Return the folder of models' environments, named by the digest of their lock."""
        return self.root / "environments"

    @property
    def servers(self) -> Path:
        """Return the folder of installed servers: Triton and Envoy."""
        return self.root / "servers"

    @property
    def containers(self) -> Path:
        """Return the folder with a file for each image that an engine holds for replicas."""
        return self.root / "containers"

    @property
    def documents(self) -> Path:
        """Return the folder with what was read of clusters' revisions, by digest."""
        return self.root / "documents"

    @property
    def clusters(self) -> Path:
        """Return the file that says to which cluster each context led."""
        return self.root / "clusters.json"

    @property
    def addresses(self) -> Path:
        """Return the file that says whose the name of each model is, whether anything runs."""
        return self.root / "addresses.json"

    @property
    def demo(self) -> Path:
        """Return the home of the demo."""
        return self.root / "demo"

    # ── the control plane ─────────────────────────────────────────────────────────────────────

    @property
    def control_lock(self) -> Path:
        """Return the file that a control plane locks while it runs."""
        return self.root / "control.lock"

    @property
    def control_record(self) -> Path:
        """Return the file with the address of the control plane."""
        return self.root / "control.json"

    @property
    def token(self) -> Path:
        """Return the file with the token of the API."""
        return self.root / "token"

    @property
    def sockets(self) -> Path:
        """Return the folder of the sockets of replicas."""
        return self.run / "sockets"

    @property
    def principal(self) -> Path:
        """Return the file with the owner of the token."""
        return self.root / "principal"

    # ── running servers ───────────────────────────────────────────────────────────────────────

    @property
    def run(self) -> Path:
        """Return the folder with the records of running servers."""
        return self.root / "run"

    @property
    def target_lock(self) -> Path:
        """Return the file that the process which keeps the servers locks."""
        return self.run / "target.lock"

    @property
    def reserve(self) -> Path:
        """Return the file that is given up for records when the disk is full."""
        return self.run / "reserve"

    @property
    def sign_of_life(self) -> Path:
        """Return the file that a control plane touches every second, if it is kept running."""
        return self.run / "alive"

    @property
    def keeper_lock(self) -> Path:
        """Return the file that the process which starts the control plane again locks."""
        return self.run / "keeper.lock"

    @property
    def revisions(self) -> Path:
        """Return the folder with a folder per running revision."""
        return self.run / "revisions"

    @property
    def routes(self) -> Path:
        """Return the file with the wanted routes."""
        return self.run / "routes.json"

    @property
    def gateway(self) -> Path:
        """Return the folder of Envoy's configuration files."""
        return self.run / "gateway"

    def gateway_record(self, process: str = "gateway") -> Path:
        """Return the record of a process of the gateway: `gateway`, `gateway-2`."""
        return self.run / f"{process}.json"

    @property
    def logs(self) -> Path:
        """Return the folder of logs."""
        return self.root / "logs"

    def log(self, name: str) -> Path:
        """Return the log of a server such as `digits-r3-0` or `gateway`."""
        return self.logs / f"{name}.log"
