"""The local target of a home in which nothing runs: what its disk has, for queries alone.

The target itself takes the home over, and makes the folder that says that something runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.targets.local.target import LocalTarget
from cloche.targets.target import Endpoint, Gateway, ServiceObservation

if TYPE_CHECKING:
    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.store import Store


class RestingTarget(LocalTarget):
    """A target without a process; `why` says, as a sentence, why nothing runs."""

    def __init__(self, settings: Settings, store: Store, server: Server, why: str) -> None:
        super().__init__(settings, store, server)
        address = f"{settings.gateway_host}:{settings.gateway_port}"
        self._gateway = Gateway(ready=False, http=f"http://{address}", grpc=address, detail=why)

    def observe(self, service: str) -> ServiceObservation:
        at = self._gateway
        endpoint = Endpoint(at.http, at.grpc, ready=False, detail=at.detail)
        return ServiceObservation(service, endpoint, {}, ())

    def gateway(self) -> Gateway:
        return self._gateway

    def _placed(self, service: str) -> set[int]:  # noqa: ARG002
        return set()
