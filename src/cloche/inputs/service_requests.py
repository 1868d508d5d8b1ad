"""Requests to services, converted to their declared inputs; caches connections and inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cloche.refusals import not_live

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloche.artifacts import ModelRepository, RevisionStatus
    from cloche.clients.kserve.client import InferenceClient
    from cloche.inputs.declared import Declared


class Services(Protocol):
    """Looks up services and revisions."""

    def service(self, name: str) -> dict[str, Any]:
        """Return the status of a service."""

    def revision(self, name: str, number: int) -> RevisionStatus:
        """Return one revision."""


def live_repository(services: Services, status: dict[str, Any]) -> ModelRepository:
    """Return the repository of a service's live revision; raises ClocheError if none is live."""
    name, live = status["service"], status["live"]
    if live is None:
        raise not_live(name, status["phase"])
    return services.revision(name, live).deployment.repository


class ServiceRequests:
    """Sends requests through the gateway; `close` closes its connections."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, float], InferenceClient] = {}
        self._declared: dict[tuple[str, int], tuple[Declared, str]] = {}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def infer(
        self, services: Services, name: str, inputs: Any, *, timeout: float
    ) -> dict[str, NDArray[Any]]:
        """Send a request and return the outputs by name; see `cloche.Client.infer`."""
        from cloche.clients.kserve.tensors import decode, encode
        from cloche.inputs.declared import fit

        status = services.service(name)
        declared, model = self._declaration(services, status)
        body, length = encode(fit(declared, inputs), binary=True)
        client = self._client_of(f"http://{status['grpc']}", timeout)
        answer = client.infer(model, body, length, headers={"cloche-service": name})
        return decode(answer.body, answer.header_length)

    def _declaration(self, services: Services, status: dict[str, Any]) -> tuple[Declared, str]:
        """Return the live revision's inputs, and the model that answers for it."""
        from cloche.inputs.declared import Declared

        key = (status["service"], status["live"])
        if key not in self._declared:
            main = live_repository(services, status).main
            self._declared[key] = Declared.of(main), main.name
        return self._declared[key]

    def _client_of(self, base: str, timeout: float) -> InferenceClient:
        from cloche.clients.kserve.client import InferenceClient

        key = base, timeout
        if key not in self._clients:
            self._clients[key] = InferenceClient(base, timeout=timeout)
        return self._clients[key]
