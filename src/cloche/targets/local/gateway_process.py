"""The gateway of the target: its processes and its routes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.targets.local import ports, records
from cloche.targets.local.joining import Placed
from cloche.targets.local.lifecycle import Health
from cloche.targets.local.routing import Routing
from cloche.targets.local.supervised import Launch, Record
from cloche.targets.local.supervisor import Supervisor
from cloche.targets.local.traffic import TrafficMeter
from cloche.targets.target import Gateway, GatewayProcess, ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cloche.settings import Settings
    from cloche.targets.local.envoy.gateway import EnvoyGateway
    from cloche.targets.local.envoy.process import EnvoyProcess
    from cloche.targets.local.lifecycle import Policy
    from cloche.targets.local.processes import MarkedProcess, Marker

_CLOSES = 10.0


class SupervisedEnvoy:
    """Tells a supervisor how to start, check and drain a process of the gateway (`supervised`)."""

    model_program: str | None = None
    memory_limit: int | None = None

    def __init__(
        self, process: EnvoyProcess, gateway: EnvoyGateway, log: Path, others: Callable[[], bool]
    ) -> None:
        """Use a process of a gateway; `others` tells whether another one of it listens."""
        self.name = process.name
        self.log = log
        self._process = process
        self._gateway = gateway
        self._others = others
        self._port = gateway.settings.gateway_port
        self._listening_pid: int | None = None

    def prepare(self, marker: Marker) -> Launch:  # noqa: ARG002 - it goes into the environment
        claim = self._claim()
        if claim is not None:
            self._gateway.prepare()
        self._process.prepare()
        arguments, environment = self._process.command(self._gateway.install().binary)
        return Launch(tuple(arguments), environment, (ports.address(self._port),), inherited=claim)

    def _claim(self) -> int | None:
        """Return the claim of the port; None if a process of this gateway listens there.

        Raises `gateway.port_taken`: Envoy itself would run without its listener, and say so only in
        its log.
        """
        try:
            return self._gateway.claim.take()
        except ClocheError:
            if self._others():
                return None
            raise

    def health(self, record: Record) -> Health:
        if record.pid is None or not self._process.ready():
            return Health(ready=False)
        if not self.listens(record):
            return Health(ready=False)
        return Health(ready=True)

    def listens(self, record: Record) -> bool:
        """Return whether its process was seen to listen on the gateway's port."""
        if record.pid is None:
            return False
        if self._listening_pid != record.pid and ports.listens(record.pid, (self._port,)):
            self._listening_pid = record.pid
            self._process.prefer_one(record.pid)
        return self._listening_pid == record.pid

    def refusal(self, record: Record) -> str | None:
        """Return Envoy's words if it refused its listener."""
        if record.pid is None or record.life.phase is ReplicaPhase.READY:
            return None
        return self._process.log.listener_refusal(record.log_start)

    def drained(self, record: Record) -> bool:  # noqa: ARG002 - see below
        """Return True: the gateway ends after the replicas, which are drained by then."""
        return True

    def clean(self) -> None:
        """Keep the folder, which the next start uses."""

    def disconnect(self) -> None:
        """Do nothing: there is no open connection."""


class LocalGateway:
    """The gateway of a target: its processes, with a supervisor each, and its routes."""

    def __init__(
        self,
        gateway: EnvoyGateway,
        settings: Settings,
        policy: Policy,
        *,
        placed: Callable[[], Sequence[Placed]],
        changed: Callable[[], None],
    ) -> None:
        self._layout = layout = settings.layout
        self._gateway = gateway
        self._port = settings.gateway_port
        self._changed = changed
        self._is_older = False
        self._processes = tuple(
            SupervisedEnvoy(
                each, gateway, layout.log(each.name), partial(self._others_listen, each.name)
            )
            for each in gateway.processes
        )
        # They are always started again: without them nothing is served.
        policy = replace(policy, endless=True, longest_delay=5.0, start_limit=60.0)
        self._supervisors = tuple(
            Supervisor(
                process,
                layout.gateway_record(process.name),
                home=settings.home,
                policy=policy,
                changed=self._process_changed,
            )
            for process in self._processes
        )
        self._routing = Routing(
            gateway,
            layout.routes,
            layout.addresses,
            placed=placed,
            running=lambda: frozenset(each.pid for each in self.records if each.pid is not None),
            changed=changed,
            reserve=layout.reserve,
        )
        self.traffic = TrafficMeter(gateway.counts)
        self.route = self._routing.route
        self.wanted_split = self._routing.wanted_split
        self.owner = self._routing.owner
        self.keep_only = self._routing.keep_only
        self.drained = self._routing.drained
        self.offered = self._routing.offered
        self.wake = self._routing.wake

    @property
    def records(self) -> tuple[Record, ...]:
        """Return the records of the gateway's processes."""
        return tuple(supervisor.record for supervisor in self._supervisors)

    @property
    def runs(self) -> bool:
        """Return whether a process of the gateway runs."""
        return any(record.pid is not None for record in self.records)

    def seen_split(self, service: str) -> dict[int, int]:
        """Return the split of a service that the gateway was last seen to serve."""
        return self._routing.seen_split(service) if self.runs else {}

    def adopt(self, leaders: Mapping[str, MarkedProcess]) -> set[tuple[str, str]]:
        """Take over the running gateway; return name and run of each of its processes."""
        adopted = set[tuple[str, str]]()
        for process, supervisor in zip(self._processes, self._supervisors, strict=True):
            record = records.load(self._layout.gateway_record(process.name), Record)
            if record is None or record.addresses not in {(), (ports.address(self._port),)}:
                continue  # a gateway on another port is ended as a stray
            running = leaders.get(record.run or "")
            supervisor.resume(record, running)
            if running is not None:
                adopted.add((process.name, running.marker.run))
        self._is_older = bool(adopted) and not self._gateway.shares_port()
        if self._is_older:
            self._keep_to_first()
        return adopted

    def _keep_to_first(self) -> None:
        """Have one process: that of an earlier Cloche lets no other one listen beside it."""
        self._processes, self._supervisors = self._processes[:1], self._supervisors[:1]
        self._gateway.keep_to_first()

    def start(self) -> None:
        """Start the gateway if it does not run, and keep it running.

        Raises `gateway.port_taken`, or an error of the installation of Envoy, if it cannot start.
        """
        if not self.runs:
            self._gateway.claim.take()
            self._gateway.install()
        self.keep()

    def keep(self) -> None:
        """Begin to keep the gateway running, without a check of its port."""
        # Before any routes are written; a listener that is not shared cannot become it.
        self._gateway.prepare(listeners=not self._is_older)
        for supervisor in self._supervisors:
            supervisor.start()
        self._routing.start()
        self.traffic.start()

    def close(self) -> None:
        """Stop supervising the gateway, which runs on with its routes."""
        self.traffic.close()
        self._routing.close()
        for supervisor in self._supervisors:
            supervisor.close()
        for supervisor in self._supervisors:
            supervisor.join(_CLOSES)
        self._gateway.claim.close()

    def stop(self) -> None:
        """Begin to end the gateway."""
        for supervisor in self._supervisors:
            supervisor.stop()

    def end(self, limit: float) -> None:
        """End the gateway within `limit` seconds, and close."""
        # First, so that it does not wait for an ended gateway to take routes.
        self._routing.close()
        self.stop()
        for supervisor in self._supervisors:
            supervisor.join(limit)
        self.close()

    def view(self) -> Gateway:
        """Return the Gateway that a target shows."""
        found = self.records
        ready = [record for record in found if record.phase is ReplicaPhase.READY]
        running = [record for record in (*ready, *found) if record.pid is not None]
        return Gateway(
            ready=bool(ready),
            http=f"http://{self._gateway.address}",
            grpc=self._gateway.address,
            pid=running[0].pid if running else None,
            detail=self._detail(),
            processes=tuple(
                GatewayProcess(record.pid, record.phase, record.life.restarts) for record in found
            ),
        )

    def _detail(self) -> str | None:
        """Return why the gateway is not ready, as a sentence; None if a process of it is."""
        waiting = [each for each in self.records if each.phase is not ReplicaPhase.READY]
        if len(waiting) < len(self.records):
            return None
        words = self._listener_refusal()
        refused = f"Envoy refuses its listener: {words}" if words else None
        return refused or waiting[0].life.detail or "It is starting."

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
        found = zip(self._processes, self.records, strict=True)
        return next(filter(None, (process.refusal(record) for process, record in found)), None)

    def _others_listen(self, name: str) -> bool:
        """Return whether a process of the gateway, other than the named one, listens."""
        found = zip(self._processes, self.records, strict=True)
        return any(process.listens(record) for process, record in found if process.name != name)

    def _process_changed(self) -> None:
        self._routing.wake()
        self._changed()
