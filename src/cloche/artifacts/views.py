"""The documented JSON objects that commands and the API share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts.encoding import to_builtins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts.model import Finding, ModelSnapshot
    from cloche.artifacts.revision import Member
    from cloche.artifacts.rollout import RevisionStatus


def model_view(snapshot: ModelSnapshot) -> dict[str, Any]:
    """Return `{reference, source, pinned, version, digest, format}` of a model.

    Digest and format are null for one that was adopted: only its server knows its files.
    """
    return {
        "reference": snapshot.reference,
        "source": snapshot.source,
        "pinned": snapshot.pinned,
        "version": snapshot.version,
        "digest": snapshot.digest or None,
        "format": snapshot.format.value if snapshot.digest else None,
    }


def conversion_view(member: Member) -> dict[str, Any] | None:
    """Return `{digest, converter, requests, parity}` of a converted model; None for another."""
    conversion = member.conversion
    if conversion is None:
        return None
    return {
        "digest": conversion.digest,
        "converter": conversion.converter,
        "requests": conversion.requests,
        "parity": to_builtins(conversion.parity),
    }


def deploy_view(
    revision: RevisionStatus,
    service: Mapping[str, Any],
    change: str,
    findings: tuple[Finding, ...] = (),
) -> dict[str, Any]:
    """Return the last object of `cloche deploy --json` and `cloche rollback --json`.

    `service` is the status of the revision's service; `change` and `findings` are those of the
    control plane's answer.
    """
    rollout = revision.rollout
    verification = rollout.verification if rollout is not None else None
    return {
        "service": revision.service,
        "revision": revision.number,
        "from": rollout.previous if rollout is not None else None,
        "cause": rollout.cause.value if rollout is not None else None,
        "phase": revision.phase.value,
        "change": change,
        "model": model_view(revision.deployment.main.snapshot),
        "http": service["http"],
        "grpc": service["grpc"],
        "verification": to_builtins(revision.verification),
        "verified": verification.passed if verification is not None else None,
        "replicas": {key: service["replicas"][key] for key in ("wanted", "ready")},
        "failure": revision.failure,
        "findings": to_builtins(findings),
    }
