"""The sentences of events."""

from __future__ import annotations

from typing import Any

from cloche.artifacts import Operated, Standing, Verification
from cloche.rendering import judged_text
from cloche.units import count_text


def adopted(number: int, reference: str) -> str:
    """Return the sentence for what was taken over as it runs."""
    return f"{reference} was adopted as revision {number}."


def deployed(number: int, reference: str) -> str:
    """Return the sentence for a deploy that makes a revision of a model reference."""
    return f"Revision {number} was requested: {reference}"


def rolled_back(number: int, previous: int | None, *, verify: bool) -> str:
    """Return the sentence for a rollback."""
    unverified = "" if verify else ", without its golden request"
    origin = "" if previous is None else f" from revision {previous}"
    return f"A rollback{origin} to revision {number} was requested{unverified}."


def asked_again(number: int) -> str:
    """Return the sentence for a deploy of the live revision."""
    return f"Revision {number} was requested again."


def standing(number: int, now: Standing, failure: dict[str, Any] | None = None) -> str:
    """Return the sentence for the new state of a revision."""
    if now is Standing.FAILED:
        return f"Revision {number} failed: {(failure or {}).get('what', 'no reason was recorded')}"
    if now is Standing.STARTING:
        return f"Revision {number} is starting: its replicas load the model."
    return f"Revision {number} is {now.value}."


def shifted(number: int, weight: int) -> str:
    """Return the sentence for a step of the traffic; `weight` is in percent."""
    return f"Revision {number} gets {weight} % of the traffic."


def verified(number: int, verification: Verification) -> str:
    """Return the sentence for the outcome of a golden request."""
    if verification.passed:
        judged = judged_text(verification.origin, verification.judge, verification.answer_from)
        return (
            f"Revision {number} passed its golden request in {verification.duration_ms:.1f} ms"
            f" ({judged})."
        )
    return f"Revision {number} failed its golden request: {verification.detail}"


def operated(service: str, before: Operated, after: Operated) -> str:
    """Return the sentence for a change of how a service is operated."""
    first, second = before.replica_range, after.replica_range
    if first != second and first.fixed and second.fixed:
        replicas = count_text(second.minimum, "replica")
        return f"{service} goes from {first.minimum} to {replicas}."
    if first != second:
        return f"{service} runs {second.minimum} to {second.maximum} replicas."
    return f"How {service} is operated has changed."


def restarted(number: int) -> str:
    """Return the sentence for a restart."""
    return f"A restart of revision {number} was requested: its replicas are replaced one by one."


def retried(number: int, waiting: int) -> str:
    """Return the sentence for replicas that are started before their time."""
    one = waiting == 1
    which = "1 replica that does not run is" if one else f"{waiting} replicas that do not run are"
    return f"Revision {number} was requested again: {which} started at once."


def deleting(service: str) -> str:
    """Return the sentence for a service whose deletion began."""
    return f"{service} is being deleted."


def deleted(service: str) -> str:
    """Return the sentence for a service whose deletion is complete."""
    return f"{service} is deleted."
