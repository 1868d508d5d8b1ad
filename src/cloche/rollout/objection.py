"""What speaks against going live although the golden request was answered as expected.

A weaker judge than that of the live revision, or values that are not finite where the live
revision's are, need the yes of whoever deploys. A rollback names its revision, which is the yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Cause, Consent
from cloche.errors import ConflictError

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Judge, Operated, Rollout, Verification

WEAKER = "--accept-weaker"
NONFINITE = "--accept-nonfinite"
_STRONGER = "Deploy with --example FILE, whose answer can be compared"


def objection(
    rollout: Rollout, verification: Verification, live: Verification | None, operated: Operated
) -> ConflictError | None:
    """Return why a rollout with a passed verification must not go on; None if it may.

    `live` is the verification of the live revision; None if nothing is live or it has none.
    """
    if operated.require_verification and not verification.judge.compares:
        return not_compared(verification.judge, verification.why)
    if live is None or rollout.cause is Cause.ROLLBACK:
        return None
    if verification.judge.weaker_than(live.judge) and Consent.WEAKER not in rollout.accepted:
        what = f"{weaker(verification.judge, live.judge)} {verification.why or ''}".strip()
        hint = f"{_STRONGER}, or with {WEAKER} to let it go live nevertheless."
        return ConflictError("rollout.weaker", what, hint=hint)
    fresh = [name for name in verification.nonfinite if name not in live.nonfinite]
    if fresh and not live.nonfinite and Consent.NONFINITE not in rollout.accepted:
        what = f"The answer is not finite in {', '.join(fresh)}, and that of the live revision is."
        hint = f"If that is right for this model, deploy with {NONFINITE}."
        return ConflictError("rollout.nonfinite", what, hint=hint)
    return None


def weaker(judge: Judge, than: Judge) -> str:
    """Return the sentence about a weaker judge."""
    return f"Its answer is judged by {judge.value}, that of the live revision by {than.value}."


def not_compared(judge: Judge, why: str | None) -> ConflictError:
    """Return the error of a service that requires values to be compared."""
    what = (
        f"require_verification is set, but only {judge.value} would judge the answer. {why or ''}"
    )
    hint = f"{_STRONGER}, or remove require_verification."
    return ConflictError("rollout.unverified", what.strip(), hint=hint)


def known_before(golden: Golden | None, operated: Operated) -> ConflictError | None:
    """Return the objection that is known before anything starts."""
    if golden is not None and operated.require_verification and not golden.judge.compares:
        return not_compared(golden.judge, golden.why)
    return None
