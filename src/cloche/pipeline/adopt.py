"""A Deployment that was made by hand, as a revision: what it serves is what its server says.

Its files are not known, so neither is the digest of its model. It is asked whether its models are
ready; what they should answer nobody has recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Deployment,
    Finding,
    Member,
    ModelFacts,
    ModelFormat,
    ModelRepository,
    ModelSnapshot,
    Operated,
    ReplicaRange,
    RepositoryMember,
    Severity,
    TensorSpec,
)
from cloche.clients.kserve import grpc_server
from cloche.clients.kserve.client import InferenceClient
from cloche.errors import ClocheError, ConflictError, UsageError
from cloche.targets.kubernetes import adoption

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cloche.pipeline.cluster import Opened

SOURCE = "adopted"
_SECONDS = 20.0
_PROTOCOL = "https://github.com/kserve/open-inference-protocol"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is adopted: where it was found, and the deployment that it is recorded as."""

    found: adoption.Found
    deployment: Deployment
    server: str
    """What answers there, as it names itself: `triton 2.69.0`."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what a user should know before it is adopted."""
        models, service = self.deployment.repository.models, self.deployment.service
        if service in models:
            return self.found.findings
        named = Finding(
            Severity.WARNING,
            "adopt.model_name",
            f"Its server answers for {', '.join(models)}. A model that Cloche packages answers for"
            f" the name of its service, {service}.",
            where=service,
            hint=f"Adopt it as {models[0]}, or have clients ask for {service} from then on.",
        )
        return (*self.found.findings, named)


def prepare(opened: Opened, service: str, deployment: str, named: str | None) -> Adoption:
    """Return what is to be adopted as a service, and change nothing.

    Raises ClocheError `adopt.…`; ConflictError `adopt.exists` for a service that exists.
    """
    place = opened.place
    if opened.state.service(service) is not None:
        raise ConflictError(
            "adopt.exists",
            f"There is a service {service} at {place.name} already.",
            where=service,
            hint=f"`cloche status {service} --target {place.name}` shows it. Take another name.",
        )
    found = adoption.find(opened.cluster, place.namespace, service, deployment, named)
    with adoption.reach(opened.cluster, place.namespace, found) as address:
        server, models = _asked(service, address.http, found)
        if address.grpc is not None and not grpc_server.is_live(address.grpc, timeout=_SECONDS):
            raise _not_served(found, "gRPC (port 8001)")
    return Adoption(found, _deployment(service, found, models), server)


def already(opened: Opened, service: str, deployment: str) -> int | None:
    """Return the revision that a Deployment is, if an earlier command recorded its adoption."""
    stored = opened.state.service(service)
    if stored is None or stored.record.live is None or stored.record.deleting:
        return None
    revision = opened.state.revision(service, stored.record.live)
    adopted = revision.deployment.adopted if revision is not None else None
    is_it = adopted is not None and adopted.deployment == deployment
    return stored.record.live if is_it else None


def _asked(
    service: str, url: str, found: adoption.Found
) -> tuple[str, tuple[RepositoryMember, ...]]:
    """Return what a server calls itself, and its models; the first ones are those it lists."""
    with InferenceClient(url, timeout=_SECONDS) as client:
        try:
            server = client.about()
            if server is None or "name" not in server:
                raise _not_served(found, "HTTP (port 8000)")
            names = client.models() or (service,)  # some servers list none
            described = [
                (name, client.about(name), client.about(name, "/config")) for name in names
            ]
        except ClocheError as error:
            if error.retriable:
                raise _not_served(found, "HTTP (port 8000)") from error
            raise
    models = tuple(
        _member(name, metadata, config or {})
        for name, metadata, config in described
        if metadata is not None
    )
    if not models:
        raise UsageError(
            "adopt.no_model",
            f"The server in pod {found.pod} lists no model, and has none called {service}.",
            where=found.adopted.deployment,
            hint="Adopt it under the name of its model, once it has loaded it.",
        )
    return f"{server['name']} {server.get('version', '')}".strip(), models


def _not_served(found: adoption.Found, protocol: str) -> UsageError:
    return UsageError(
        "adopt.protocol",
        f"Pod {found.pod} does not answer to the KServe v2 protocol over {protocol}.",
        where=f"Deployment {found.adopted.deployment}",
        hint=f"Clients of a later revision have to speak it ({_PROTOCOL}): deploy the model beside"
        " this one under a name of its own, and move the clients.",
    )


def _member(name: str, metadata: Mapping[str, Any], config: Mapping[str, Any]) -> RepositoryMember:
    platform = str(config.get("backend") or metadata.get("platform") or "")
    return RepositoryMember(
        name,
        platform.partition("_")[0],
        tuple(_tensors(metadata.get("inputs") or ())),
        tuple(_tensors(metadata.get("outputs") or ())),
        int(config.get("max_batch_size") or 0),
        decoupled=bool((config.get("model_transaction_policy") or {}).get("decoupled")),
    )


def _tensors(listed: Sequence[Mapping[str, Any]]) -> Iterator[TensorSpec]:
    for each in listed:
        shape = tuple(int(size) for size in each.get("shape") or ())
        yield TensorSpec(str(each["name"]), str(each.get("datatype", "")), shape)


def _deployment(
    service: str, found: adoption.Found, models: Sequence[RepositoryMember]
) -> Deployment:
    # The model of the service's name answers for it, wherever the server lists it.
    ordered = tuple(sorted(models, key=lambda each: each.name != service))
    main, name = ordered[0], f"deployment/{found.adopted.deployment}"
    snapshot = ModelSnapshot(name, name, SOURCE, None, "", ModelFormat.TRITON, (), ".")
    facts = ModelFacts(
        ModelFormat.TRITON, "", main.backend, main.inputs, main.outputs,
        BatchAxis(main.max_batch_size > 0, Certainty.CERTAIN, "Its server says so."), 0, None,
    )  # fmt: skip
    return Deployment(
        service,
        (Member(main.name, snapshot, facts),),
        ModelRepository(service, "", (), ordered),
        operated=Operated(replicas=ReplicaRange.exactly(found.adopted.replicas), front=found.front),
        adopted=found.adopted,
    )
