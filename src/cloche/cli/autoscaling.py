"""Whether the autoscaler of a service that was deployed measures what it follows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Finding, Severity

if TYPE_CHECKING:
    from cloche.cli.session import Session
    from cloche.control import ControlPlane

_SECONDS = 45.0
"""In which a metric is read twice, and the autoscaler has looked once."""
_POLL = 1.0


def unmeasured(here: Session, control: ControlPlane, service: str) -> Finding | None:
    """Return that an autoscaler measures nothing, once it had the time; None where all is well."""
    scaling = _scaling(control, service)
    if scaling is None:
        return None
    deadline = time.monotonic() + _SECONDS
    with here.progress.task("Waiting for the autoscaler's first measure") as task:
        while not _measures(scaling) and time.monotonic() < deadline:
            task.note(scaling["trouble"] or "nothing is measured yet")
            time.sleep(_POLL)
            scaling = _scaling(control, service) or scaling
    if _measures(scaling):
        return None
    return Finding(
        Severity.WARNING,
        "deploy.autoscaler",
        "The autoscaler keeps the number of replicas:"
        f" {scaling['trouble'] or 'it has measured nothing yet.'}",
        where=service,
        hint="Does that Prometheus read the pods, with the labels `namespace` and `pod`?"
        f" `cloche status {service}` shows when it measures.",
    )


def _measures(scaling: dict[str, Any]) -> bool:
    return bool(scaling["measured"]) and scaling["trouble"] is None


def _scaling(control: ControlPlane, service: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = control.service(service)["replicas"]["scaling"]
    return found
