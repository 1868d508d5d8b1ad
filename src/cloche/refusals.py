"""Errors that several modules raise, in the same words."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from cloche.errors import (
    BusyError,
    ClocheError,
    ConflictError,
    NotFoundError,
    StaleError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


ENDED = "Nothing runs here: `cloche down` ended it."
"""Why a home with services has no control plane, no gateway and no replica."""
BRINGS_BACK = "`cloche up` brings back what was deployed here, as does any `cloche deploy`."


def ended(home: Path) -> ClocheError:
    """Return the error for what needs services to run, in a home whose services were ended."""
    return ClocheError("control.down", ENDED, where=str(home), hint=BRINGS_BACK)


def not_a_name(name: str) -> UsageError:
    """Return the error for what cannot be the name of a service."""
    hint = "Use lower-case letters, digits and '-', at most 63, with no '-' at the ends."
    return UsageError("service.name", f"{name!r} is not a service name.", hint=hint)


def unknown_service(name: str, known: Sequence[str] = ()) -> NotFoundError:
    """Return the error for a service that does not exist; `known` are those that do."""
    # A model of a registry is often called with "_", and its service with "-".
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.8)
    hint = f"Did you mean {near[0]}?" if near else "`cloche status` lists the services."
    return NotFoundError("service.unknown", f"There is no service {name}.", where=name, hint=hint)


def lost_record(name: str, numbers: Sequence[int]) -> ConflictError:
    """Return the error for a service whose record is gone, while its revisions are there."""
    one = len(numbers) == 1
    listed = f"{'revision' if one else 'revisions'} {', '.join(map(str, numbers))}"
    return ConflictError(
        "state.lost",
        f"The record of {name} is gone; {listed} of it {'is' if one else 'are'} still there, and"
        " what runs goes on.",
        where=name,
        hint="The next deploy, rollback, scale or delete of it makes the record anew from them.",
    )


def unknown_revision(service: str, number: int) -> NotFoundError:
    """Return the error for a revision that a service does not have."""
    what = f"{service} has no revision {number}."
    hint = f"`cloche history {service}` lists its revisions."
    return NotFoundError("revision.unknown", what, where=service, hint=hint)


def being_deleted(name: str) -> BusyError:
    """Return the error for a service that is being deleted."""
    what = f"{name} is being deleted; its name is free when its replicas have ended."
    return BusyError("service.deleting", what, where=name, hint="Try again in a moment.")


def stale_record(name: str) -> StaleError:
    """Return the error for a service's record that changed since it was read."""
    what = f"The record of {name} was changed by someone else at the same time."
    return StaleError("state.stale", what, where=name, hint="Try again.")


def stale_number(service: str, number: int) -> StaleError:
    """Return the error for a revision's number that was given before."""
    what = f"{service} already had a revision {number}."
    return StaleError("state.stale", what, where=service)


def adopted_stays(name: str, deployment: str) -> UsageError:
    """Return the error for a restart of what was adopted: its template is not changed."""
    what = f"The live revision of {name} is Deployment {deployment}, which Cloche leaves as it is."
    hint = f"`kubectl rollout restart deployment/{deployment}` restarts it."
    return UsageError("restart.adopted", what, where=name, hint=hint)


def no_prometheus(where: str, hint: str) -> UsageError:
    """Return the error for an autoscaler that nobody measures for."""
    what = "Nothing says which Prometheus has the metrics that autoscaling follows."
    return UsageError("target.kubernetes.prometheus", what, where=where, hint=hint)


def not_live(name: str, phase: str) -> UnavailableError:
    """Return the error for a service that has no live revision yet."""
    what = f"{name} has no live revision yet: it is {phase}."
    hint = "Wait for its deploy, or see `cloche status`."
    return UnavailableError("service.not_live", what, where=name, hint=hint)


def needs_gpu(code: str, models: Sequence[str], remedy: str = "") -> UsageError:
    """Return the error for models that load on a GPU alone, in a place without one."""
    asks = "asks" if len(models) == 1 else "ask"
    what = f"{' and '.join(models)} {asks} for a GPU (kind: KIND_GPU), and there is none here."
    hint = "Write kind: KIND_AUTO in its instance_group to serve with and without one."
    where = f"{models[0]}/config.pbtxt"
    return UsageError(code, what, where=where, hint=f"{remedy} {hint}".strip())


def internal(error: Exception, *, hint: str, where: str | None = None) -> ClocheError:
    """Return the error for a defect of Cloche: an exception that nothing translates."""
    what = f"An unexpected error occurred: {type(error).__name__}: {error}"
    return ClocheError("internal", what, where=where, hint=hint)
