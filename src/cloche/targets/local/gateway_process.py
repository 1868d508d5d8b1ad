"""The gateway of the target: its one process, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.targets.local import ports, records
from cloche.targets.local.routing import Placed, Routing
from cloche.targets.local.supervised import Launch, Record
from cloche.targets.local.supervisor import Supervisor
from cloche.targets.target import Gateway, ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.gateway import EnvoyGateway
    from cloche.targets.local.lifecycle import Policy
    from cloche.targets.local.processes import Found, Marker

NAME = "gateway"
_CLOSES = 10.0


class GatewayProcess:
    """Tells a supervisor how to start, check and drain the gateway (see `supervised`)."""

    def __init__(self, gateway: EnvoyGateway, settings: Settings, log: Path) -> None:
        self.name = NAME
        self.log = log
        self._gateway = gateway
        self._port = settings.gateway_port
        self._known: int | None = None

    def prepare(self, marker: Marker) -> Launch:  # noqa: ARG002 - it goes into the environment
        # Envoy itself would run on with no listener, and say so in its log only.
        self._gateway.check_port()
        self._gateway.prepare()
        arguments, environment = self._gateway.command()
        return Launch(tuple(arguments), environment, (self._port,))

    def healthy(self, record: Record) -> bool:
        if record.pid is None or not self._gateway.ready():
            return False
        if self._known != record.pid and not ports.listens(record.pid, record.ports):
            return False
        self._known = record.pid
        return True

    def drained(self, record: Record) -> bool:  # noqa: ARG002 - see below
        """Return True: it is ended after the replicas, which have been drained by then."""
        return True

    def clean(self) -> None:
        """Leave its folder: the next start goes on from it."""

    def disconnect(self) -> None:
        """Do nothing: no connection to it is kept."""


class LocalGateway:
    """The gateway of a target: its process, kept by a supervisor, and its routes."""

    def __init__(
        self,
        gateway: EnvoyGateway,
        settings: Settings,
        policy: Policy,
        *,
        placed: Callable[[], Sequence[Placed]],
        changed: Callable[[], None],
    ) -> None:
        layout = settings.layout
        self._gateway = gateway
        self._ports = (settings.gateway_port,)
        self._record_path = layout.gateway_record
        self._changed = changed
        supervised = GatewayProcess(gateway, settings, layout.log(NAME))
        # However often it ends it is started again: without it nothing is served.
        policy = replace(policy, attempts=None, longest_delay=5.0, start_limit=60.0)
        self._supervisor = Supervisor(
            supervised,
            self._record_path,
            home=settings.home,
            policy=policy,
            changed=self._process_changed,
        )
        self._routing = Routing(
            gateway,
            layout.routes,
            placed=placed,
            running=lambda: self.record.pid is not None,
            changed=changed,
        )
        self.route = self._routing.route
        self.told = self._routing.told
        self.keep_only = self._routing.keep_only
        self.drained = self._routing.drained
        self.wake = self._routing.wake

    @property
    def record(self) -> Record:
        """Return the record of the gateway's process."""
        return self._supervisor.record

    def seen(self, service: str) -> dict[int, int]:
        """Return the split of a service that the gateway was last seen to serve."""
        return self._routing.seen_split(service) if self.record.pid is not None else {}

    def adopt(self, leaders: Mapping[str, Found]) -> set[tuple[str, str]]:
        """Take over the gateway that runs; returns its name and run, if there is one."""
        record = records.load(self._record_path, Record)
        if record is None or record.ports not in {(), self._ports}:
            return set()  # with another port than it is to have now it is ended as a stray
        found = leaders.get(record.run or "")
        self._supervisor.resume(record, found)
        return {(NAME, found.marker.run)} if found is not None else set()

    def start(self) -> None:
        """Begin to keep it.

        Where none runs this raises what keeps one from running: `gateway.port_taken`, or what the
        installation of Envoy says.
        """
        if self.record.pid is None:
            self._gateway.check_port()
            self._gateway.install()
        self.keep()

    def keep(self) -> None:
        """Begin to keep it, whatever has its port."""
        self._gateway.prepare()  # before it is told anything
        self._supervisor.start()
        self._routing.start()

    def close(self) -> None:
        """Let go of the gateway, which goes on with the routes that it has."""
        self._routing.close()
        self._supervisor.close()
        self._supervisor.join(_CLOSES)

    def stop(self) -> None:
        """Ask the gateway to end."""
        self._supervisor.stop()

    def end(self, limit: float) -> None:
        """End the gateway within `limit` seconds, and close."""
        # First, so that it is not waited for: a gateway that has ended takes no routes.
        self._routing.close()
        self._supervisor.stop()
        self._supervisor.join(limit)
        self.close()

    def view(self) -> Gateway:
        """Return the gateway as a target shows it."""
        ready = self.record.life.phase is ReplicaPhase.READY
        detail = None if ready else self.record.life.detail or "It is being started."
        return Gateway(
            ready=ready,
            http=f"http://{self._gateway.address}",
            grpc=self._gateway.address,
            pid=self.record.pid,
            detail=detail,
        )

    def _process_changed(self) -> None:
        self._routing.wake()
        self._changed()
