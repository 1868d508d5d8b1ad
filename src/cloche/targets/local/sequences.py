"""What a user should know before a model with state has several replicas, or fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.clients.kserve.sequences import HEADER

if TYPE_CHECKING:
    from cloche.artifacts import RepositoryMember


def foreseen(service: str, model: RepositoryMember, wanted: int, now: int) -> tuple[Finding, ...]:
    """Return what the `wanted` number of replicas means for sequences, where it is `now`."""
    if not model.stateful:
        return ()
    findings = []
    if wanted > 1:
        findings.append(
            Finding(
                Severity.NOTE,
                "sequences.header",
                f"{model.name} keeps the state of a sequence in one of its replicas, so the gateway"
                f" refuses a single request without the header or metadata `{HEADER}`.",
                where=service,
                hint="Send the ID of the sequence in it, as `cloche infer` and cloche.Client do;"
                " a gRPC stream needs none.",
            )
        )
    if wanted < now:
        findings.append(
            Finding(
                Severity.WARNING,
                "sequences.lost",
                "Sequences of single requests that are open in a replica that leaves are lost:"
                " their next request is refused.",
                where=service,
                hint="Begin such a sequence anew, with another ID.",
            )
        )
    return tuple(findings)
