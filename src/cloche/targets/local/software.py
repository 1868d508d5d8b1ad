"""The server of replicas on this machine: laid out per revision, started per replica."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloche import environments
from cloche.artifacts import Judge, Runtime
from cloche.clients.kserve.client import UNIX
from cloche.errors import ClocheError
from cloche.servers import ServerAddresses
from cloche.targets.local import confinement, ports, runtimes
from cloche.targets.local.containers import Containers
from cloche.targets.local.health.golden_call import GoldenRequest
from cloche.targets.local.health.judging import Judging
from cloche.targets.local.health.replica_health import Questions
from cloche.targets.local.replica_sockets import NAME, ReplicaSockets
from cloche.targets.local.supervised import Launch

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.artifacts import InferenceBody, ModelRepository
    from cloche.servers import InstalledServer, Server
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.targets import Placement
    from cloche.targets.local.processes import Marker
    from cloche.targets.local.supervised import Record

_PORTS = 3
"""HTTP, gRPC and metrics, in this order."""


class ReplicaServer:
    """A server of this home, with the model's environment if it has one."""

    def __init__(self, server: Server, settings: Settings, store: Store) -> None:
        self._server = server
        self._layout = settings.layout
        self._store = store
        self._installed: InstalledServer | None = None
        self._containers = Containers(settings.home, settings.layout.containers)
        self._ports = ports.Ports()
        self._sockets = ReplicaSockets.usable(settings.layout.sockets)

    def runtime(self, placement: Placement) -> Runtime:
        """Return what the replicas of a placement are."""
        return runtimes.chosen(placement.runtime, self._server).runtime

    @property
    def as_streams(self) -> bool:
        """Return whether the gateway passes single calls over gRPC on as streams."""
        return not self._server.survives_cancelled_calls

    def lay_out(self, placement: Placement, serving: Path) -> None:
        """Make the folder that the replicas of a revision share, atomically."""
        repository = placement.repository
        if self.runtime(placement) is Runtime.CONTAINER:
            self._containers.lay_out(placement.service, repository.digest, serving)
            return
        environment = self._environment(repository)
        self._installation().lay_out(
            serving,
            self._store.tree_path(repository.digest),
            models=repository.models,
            environment=environment,
        )

    def launch(self, serving: Path, marker: Marker, placement: Placement, log: Path) -> Launch:
        """Return how to start a replica on the folder of its revision, in its sandbox.

        A model that writes to its output by name opens the log.
        """
        name, image = marker.name, self._containers.image(serving)
        if image is not None:
            memory = placement.resources.memory
            return self._containers.launch(image, name, self._free_ports(name), memory)
        folder = self._sockets.make(marker) if self._sockets is not None else None
        addresses = self._addresses(marker, folder)
        command = self._installation().command(serving, addresses, identity=name)
        own = [log] if folder is None else [log, folder]
        command = confinement.confined(command, placement.sandbox, own)
        return Launch(
            command.argv, command.env, (addresses.http, addresses.grpc, addresses.metrics)
        )

    def _addresses(self, marker: Marker, folder: Path | None) -> ServerAddresses:
        if folder is None:
            return ServerAddresses(*self._free_ports(marker.name))
        return self._installation().sockets(folder, NAME)

    def _free_ports(self, name: str) -> tuple[str, ...]:
        return tuple(map(ports.address, self._ports.take(name, _PORTS)))

    def keep(self, record: Record) -> None:
        """Give no other replica the ports of one that was taken over."""
        self._ports.keep(record.name, ports.of(record.addresses))

    def listens(self, serving: Path, name: str, record: Record) -> bool:
        """Return whether it is the replica `name` that listens at the addresses of its record.

        Sockets are its own by their names.
        """
        image, addresses = self._containers.image(serving), record.addresses[:2]
        if image is not None:
            return self._containers.listens(image, name, addresses)
        sockets = [each.removeprefix(UNIX) for each in addresses if each.startswith(UNIX)]
        if sockets:
            return all(Path(path).is_socket() for path in sockets)
        return record.pid is not None and ports.listens(record.pid, ports.of(addresses))

    def memory_limit(self, placement: Placement) -> int | None:
        """Return the bytes of memory above which a replica is to be ended.

        What a container has is bounded by its engine.
        """
        if self.runtime(placement) is Runtime.CONTAINER:
            return None
        return placement.resources.memory

    def model_program(self, placement: Placement) -> str | None:
        """Return the program of the processes in which replicas run their models, if they do.

        Those of a container are not children of the program that keeps it running.
        """
        if self.runtime(placement) is Runtime.CONTAINER:
            return None
        return self._server.model_program

    def questions(self, placement: Placement) -> Questions:
        """Return what the replicas of a placement are asked.

        A model with state is asked nothing: a sequence would be begun. So is one that answers with
        streams.
        """
        paths = self._server.ready_paths(placement.repository.models)
        main, golden = placement.repository.main, placement.golden
        if golden is None or main.stateful or main.decoupled or golden.judge is Judge.NONE:
            return Questions(paths)
        try:
            requests = tuple(self._request(placement, body) for body in golden.requests)
        except ClocheError:  # an old revision, whose request is no longer kept
            return Questions(paths)
        first = requests[0] if placement.warm_up and golden.expected is not None else None
        return Questions(paths, first, requests if placement.probe else ())

    def _request(self, placement: Placement, body: InferenceBody) -> GoldenRequest:
        data = self._store.read(body.digest)
        return GoldenRequest(placement.repository.main.name, data, body.header_length)

    def judging(self, placement: Placement) -> Judging | None:
        """Return what judges the answers of one process of a replica."""
        if placement.golden is None:
            return None
        return Judging(placement.golden, placement.repository, self._store)

    def clean(self, serving: Path, name: str) -> None:
        """Remove what a replica left behind, after all its processes ended."""
        image = self._containers.image(serving)
        if image is not None:
            self._containers.remove(image, name)
        else:
            self._server.clean(serving, name)
            if self._sockets is not None:
                self._sockets.remove(name)
        self._ports.release(name)

    def sweep(self, kept: Collection[str]) -> None:
        """Remove what replicas that are not in `kept` left, where no folder tells of them."""
        self._containers.sweep(kept)
        if self._sockets is not None and not kept:
            self._sockets.remove_all()

    def _installation(self) -> InstalledServer:
        if self._installed is None or not self._installed.executable.exists():
            # The deploy command installs the server; this installs it only if it was removed since.
            self._installed = self._server.install(self._layout.servers)
        return self._installed

    def _environment(self, repository: ModelRepository) -> Path | None:
        if repository.main.lock_digest is None:
            return None
        folder = self._layout.environments / repository.main.lock_digest.removeprefix("sha256:")
        if not environments.is_complete(folder):
            raise ClocheError(
                "target.local.environment",
                f"The environment of {repository.service} is not on this machine, or was moved.",
                where=str(folder),
                hint="Deploy the model again to make its environment from its lock.",
            )
        return folder
