"""The gateway of the target: its process and its routes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.targets.local import ports, records
from cloche.targets.local.joining import Placed
from cloche.targets.local.lifecycle import Health
from cloche.targets.local.routing import Routing
from cloche.targets.local.supervised import Launch, Record
from cloche.targets.local.supervisor import Supervisor
from cloche.targets.target import Gateway, ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.gateway import EnvoyGateway
    from cloche.targets.local.lifecycle import Policy
    from cloche.targets.local.processes import MarkedProcess, Marker

NAME = "gateway"
_CLOSES = 10.0


class GatewayProcess:
    """Tells a supervisor how to start, check and drain the gateway (see `supervised`)."""

    model_program: str | None = None

    def __init__(self, gateway: EnvoyGateway, settings: Settings, log: Path) -> None:
        self.name = NAME
        self.log = log
        self._gateway = gateway
        self._port = settings.gateway_port
        self._listening_pid: int | None = None

    def prepare(self, marker: Marker) -> Launch:  # noqa: ARG002 - it goes into the environment
        # Envoy itself would run without its listener, and say so only in its log.
        self._gateway.check_port()
        self._gateway.prepare()
        arguments, environment = self._gateway.command()
        return Launch(tuple(arguments), environment, (self._port,))

    def health(self, record: Record) -> Health:
        if record.pid is None or not self._gateway.ready():
            return Health(ready=False)
        if self._listening_pid != record.pid and not ports.listens(record.pid, record.ports):
            return Health(ready=False)
        self._listening_pid = record.pid
        return Health(ready=True)

    def drained(self, record: Record) -> bool:  # noqa: ARG002 - see below
        """Return True: the gateway ends after the replicas, which are drained by then."""
        return True

    def clean(self) -> None:
        """Keep the folder, which the next start uses."""

    def disconnect(self) -> None:
        """Do nothing: there is no open connection."""


class LocalGateway:
    """The gateway of a target: its process, with a supervisor, and its routes."""

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
        # It is always started again: without it nothing is served.
        policy = replace(policy, endless=True, longest_delay=5.0, start_limit=60.0)
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
            layout.addresses,
            placed=placed,
            running=lambda: self.record.pid is not None,
            changed=changed,
            reserve=layout.reserve,
        )
        self.route = self._routing.route
        self.wanted_split = self._routing.wanted_split
        self.owner = self._routing.owner
        self.keep_only = self._routing.keep_only
        self.drained = self._routing.drained
        self.offered = self._routing.offered
        self.wake = self._routing.wake

    @property
    def record(self) -> Record:
        """Return the record of the gateway's process."""
        return self._supervisor.record

    def seen_split(self, service: str) -> dict[int, int]:
        """Return the split of a service that the gateway was last seen to serve."""
        return self._routing.seen_split(service) if self.record.pid is not None else {}

    def adopt(self, leaders: Mapping[str, MarkedProcess]) -> set[tuple[str, str]]:
        """Take over the running gateway; return its name and run if there is one."""
        record = records.load(self._record_path, Record)
        if record is None or record.ports not in {(), self._ports}:
            return set()  # a gateway on another port is ended as a stray
        process = leaders.get(record.run or "")
        self._supervisor.resume(record, process)
        return {(NAME, process.marker.run)} if process is not None else set()

    def start(self) -> None:
        """Start the gateway if it does not run, and keep it running.

        Raises `gateway.port_taken`, or an error of the installation of Envoy, if it cannot start.
        """
        if self.record.pid is None:
            self._gateway.check_port()
            self._gateway.install()
        self.keep()

    def keep(self) -> None:
        """Begin to keep the gateway running, without a check of its port."""
        self._gateway.prepare()  # before any routes are written
        self._supervisor.start()
        self._routing.start()

    def close(self) -> None:
        """Stop supervising the gateway, which runs on with its routes."""
        self._routing.close()
        self._supervisor.close()
        self._supervisor.join(_CLOSES)

    def stop(self) -> None:
        """Begin to end the gateway."""
        self._supervisor.stop()

    def end(self, limit: float) -> None:
        """End the gateway within `limit` seconds, and close."""
        # First, so that it does not wait for an ended gateway to take routes.
        self._routing.close()
        self._supervisor.stop()
        self._supervisor.join(limit)
        self.close()

    def view(self) -> Gateway:
        """Return the Gateway that a target shows."""
        ready = self.record.life.phase is ReplicaPhase.READY
        words = self._listener_refusal()
        refused = f"Envoy refuses its listener: {words}" if words else None
        detail = None if ready else refused or self.record.life.detail or "It is starting."
        return Gateway(
            ready=ready,
            http=f"http://{self._gateway.address}",
            grpc=self._gateway.address,
            pid=self.record.pid,
            detail=detail,
        )

    def refusal(self, service: str) -> ClocheError | None:
        """Return why the gateway does not serve a service as it should; None if it does."""
        words = self._routing.refused.get(service)
        if words is not None:
            what = f"The gateway refuses the routes of {service}: {words}"
            hint = "Other services are not affected, and what was live stays live."
            return ClocheError("gateway.refused", what, where=service, hint=hint)
        words = self._listener_refusal()
        if words is None:
            return None
        what = f"The gateway refuses to listen on {self._gateway.address}: {words}"
        hint = "Correct gateway.host and gateway.port in config.toml; `cloche doctor` checks them."
        return ClocheError("gateway.refused", what, where=self._gateway.address, hint=hint)

    def _listener_refusal(self) -> str | None:
        if self.record.pid is None or self.record.life.phase is ReplicaPhase.READY:
            return None
        return self._gateway.listener_refusal(self.record.log_start)

    def _process_changed(self) -> None:
        self._routing.wake()
        self._changed()
