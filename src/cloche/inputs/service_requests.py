"""Requests to services, converted to their declared inputs; caches connections and inputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from cloche.errors import UsageError
from cloche.refusals import not_live

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cloche.artifacts import ModelRepository, RepositoryMember, RevisionStatus
    from cloche.clients.kserve.client import InferenceClient


Server = tuple[str, str | None]
"""Base URL, and the address `host:port` of gRPC."""


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


def request_parameters(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return inference parameters as a request carries them: lists and mappings as JSON."""
    return {
        name: json.dumps(value) if isinstance(value, list | tuple | dict) else value
        for name, value in (given or {}).items()
    }


def streams_only(name: str) -> UsageError:
    """Return the error for a model that answers with streams where one answer is asked for."""
    return UsageError(
        "infer.stream",
        f"{name} answers a request with a stream of answers.",
        where=name,
        hint="Use `cloche infer`, which prints each, or Client.stream(NAME, inputs) in Python.",
    )


def _written(
    model: RepositoryMember, inputs: Any, parameters: Mapping[str, Any] | None
) -> tuple[bytes, int | None]:
    """Return the body of a request and the length of its header."""
    from cloche.clients.kserve.tensors import encode
    from cloche.inputs.declared import Declared, fit

    tensors = fit(Declared.of(model), inputs)
    return encode(tensors, binary=True, parameters=request_parameters(parameters))


def _headers(name: str, parameters: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what the gateway finds the service, and the replica of a sequence, by."""
    from cloche.clients.kserve import sequences

    return {"cloche-service": name} | sequences.headers(parameters)


class ServiceRequests:
    """Sends requests through the gateway; `close` closes its connections."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, float], InferenceClient] = {}
        self._models: dict[tuple[str, int], RepositoryMember] = {}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def infer(
        self,
        services: Services,
        name: str,
        inputs: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        timeout: float,
        server: Server | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Send a request and return the outputs by name; see `cloche.Client.infer`.

        `server` is asked in place of the gateway.
        """
        from cloche.clients.kserve.client import InferenceClient
        from cloche.clients.kserve.tensors import decode
        from cloche.inputs import missing

        status = services.service(name)
        model = self._model(services, status)
        if model.decoupled:
            raise streams_only(name)
        body, length = _written(model, inputs, parameters)
        headers = _headers(name, parameters)
        if server is None:
            client = self._client_of(f"http://{status['grpc']}", timeout)
            answer = client.infer(model.name, body, length, headers=headers)
        else:
            with InferenceClient(server[0], timeout=timeout) as client:
                answer = client.infer(model.name, body, length, headers=headers)
        return missing.with_gaps(decode(answer.body, answer.header_length), model.outputs)

    def stream(
        self,
        services: Services,
        name: str,
        inputs: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        timeout: float,
        server: Server | None = None,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Send a request and yield each answer of its stream; see `cloche.Client.stream`."""
        from cloche.clients.kserve import stream
        from cloche.inputs import missing

        status = services.service(name)
        model = self._model(services, status)
        body, length = _written(model, inputs, parameters)
        metadata = tuple(_headers(name, parameters).items())
        address = status["grpc"] if server is None else server[1] or ""
        for answer in stream.infer(
            address, model.name, body, length or 0, timeout=timeout, metadata=metadata
        ):
            yield missing.with_gaps(answer.tensors, model.outputs)

    def _model(self, services: Services, status: dict[str, Any]) -> RepositoryMember:
        """Return the model that answers for a service's live revision."""
        key = (status["service"], status["live"])
        if key not in self._models:
            self._models[key] = live_repository(services, status).main
        return self._models[key]

    def _client_of(self, base: str, timeout: float) -> InferenceClient:
        from cloche.clients.kserve.client import InferenceClient

        key = base, timeout
        if key not in self._clients:
            self._clients[key] = InferenceClient(base, timeout=timeout)
        return self._clients[key]
