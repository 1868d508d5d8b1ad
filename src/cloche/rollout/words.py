"""The sentences that events carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Operated, Standing, Verification

if TYPE_CHECKING:
    from cloche.artifacts import Golden


def deployed(number: int, reference: str) -> str:
    """Return the sentence for a deploy that makes a revision."""
    return f"Revision {number} was requested: {reference}"


def rolled_back(number: int, previous: int | None, *, verify: bool) -> str:
    """Return the sentence for a rollback."""
    unverified = "" if verify else ", without asking its golden request"
    whence = "" if previous is None else f" from revision {previous}"
    return f"A rollback{whence} to revision {number} was requested{unverified}."


def asked_again(number: int) -> str:
    """Return the sentence for a deploy of what is live."""
    return f"Revision {number} was requested again."


def standing(number: int, now: Standing, failure: dict[str, Any] | None = None) -> str:
    """Return the sentence for what a revision has come to be."""
    if now is Standing.FAILED:
        return f"Revision {number} failed: {(failure or {}).get('what', 'no reason was recorded')}"
    return f"Revision {number} is {now.value}."


def shifted(number: int, weight: int) -> str:
    """Return the sentence for a step of the traffic."""
    return f"Revision {number} gets {weight} % of the traffic."


def golden(number: int, made: Golden) -> str:
    """Return the sentence for a golden request that was made."""
    return f"Revision {number} has a golden request ({made.kind.value})."


def verified(number: int, verification: Verification) -> str:
    """Return the sentence for the outcome of a golden request."""
    if verification.passed:
        return f"Revision {number} passed its golden request in {verification.duration_ms:.1f} ms."
    return f"Revision {number} failed its golden request: {verification.detail}"


def operated(service: str, before: Operated, after: Operated) -> str:
    """Return the sentence for another way of operating a service."""
    first, second = before.replica_range, after.replica_range
    if first != second and first.fixed and second.fixed:
        return f"{service} goes from {first.minimum} to {second.minimum} replicas."
    if first != second:
        return f"{service} runs {second.minimum} to {second.maximum} replicas."
    return f"How {service} is operated has changed."


def deleting(service: str) -> str:
    """Return the sentence for a service that is to go."""
    return f"{service} is being deleted."


def deleted(service: str) -> str:
    """Return the sentence for a service that is gone."""
    return f"{service} is deleted."
