"""The JSON views of services and of the gateway; their field names are stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cloche import artifacts
from cloche.rollout.phases import replicas_of
from cloche.targets.target import ReplicaPhase

if TYPE_CHECKING:
    from cloche.artifacts import Revision
    from cloche.errors import ClocheError
    from cloche.state.state import ServiceRecord
    from cloche.targets.target import Gateway, Observation


def gateway_view(gateway: Gateway) -> dict[str, Any]:
    """Return `{ready, http (base URL), grpc (address), pid, detail (why it is not ready)}`."""
    view: dict[str, Any] = artifacts.to_builtins(gateway)
    return view


def service_view(
    record: ServiceRecord,
    shown: Revision,
    wanted: Revision,
    observation: Observation,
    trouble: ClocheError | None,
    *,
    alone: bool = True,
) -> dict[str, Any]:
    """Return a ServiceStatus.

    `alone` says that no other service has the name of this one's model, which means it by itself
    then; otherwise `http` names the service by host.

    `shown` is the live revision, or the wanted one before any is live: `revision`, `model`,
    `verification` and `created_at` are its. `phase` is that of the wanted one, and so is `failure`
    when it failed; a service in trouble says what it is there too.
    """
    name, model = record.name, shown.deployment.repository.models[0]
    base = observation.gateway.http
    if not alone:
        base = f"http://{name}.localhost:{urlsplit(base).port}"
    replicas = [replica for replica in observation.replicas if replica.service == name]
    ready = [
        replica
        for replica in replicas
        if replica.revision == shown.number and replica.phase is ReplicaPhase.READY
    ]
    failure = wanted.failure or (trouble.to_dict() if trouble else None)
    return {
        "service": name,
        "revision": shown.number,
        "phase": wanted.phase.value,
        "live": record.live,
        "wanted": record.wanted,
        "deleting": record.deleting,
        "model": artifacts.model_view(shown.deployment.snapshot),
        "http": f"{base}/v2/models/{quote(model, safe='')}/infer",
        "grpc": observation.gateway.grpc,
        "verification": artifacts.to_builtins(shown.verification),
        "replicas": {
            "wanted": replicas_of(record.operated),
            "ready": len(ready),
            "items": artifacts.to_builtins(replicas),
        },
        "failure": failure,
        "created_at": shown.created_at,
    }
