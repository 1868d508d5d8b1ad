"""What a deploy or a rollback came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.artifacts import Finding, RevisionStatus
    from cloche.client.place import Begun
    from cloche.progress import Progress


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The outcome of a deploy, or its state when the call did not wait."""

    service: str
    change: str
    """`none`, `scaled` or `revision`."""
    revision: RevisionStatus
    http: str
    """URL of the infer path."""
    grpc: str
    """Address of the gateway, such as `127.0.0.1:8080`; in a cluster that of the service there."""
    findings: tuple[Finding, ...] = ()
    """What the place where it runs has to say about it."""


def of(begun: Begun, *, wait: bool, timeout: float, progress: Progress) -> DeployResult:
    """Return the result of a recorded rollout; raises the error that it ended with."""
    from cloche.clients.control.rollout_events import (
        GOES_ON,
        STANDS_STILL,
        error_of,
        see_through,
    )

    service, answer = begun.service, begun.answer
    if wait:
        revision = see_through(
            begun.connect, service, answer["revision"], progress=progress, timeout=timeout,
            later=GOES_ON if begun.goes_on else STANDS_STILL,
        )  # fmt: skip
        error = error_of(revision)
        if error is not None:
            raise error
    control = begun.connect()
    revision, status = control.revision(service, answer["revision"]), control.service(service)
    return DeployResult(
        service, answer["change"], revision, status["http"], status["grpc"],
        (*begun.findings, *answer.get("findings", ())),
    )  # fmt: skip
