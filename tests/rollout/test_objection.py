"""What keeps a revision from going live although its golden request was answered as expected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloche import testing
from cloche.artifacts import (
    Cause,
    Consent,
    Judge,
    Operated,
    Phase,
    Rollout,
    TensorDifference,
    Verification,
)
from cloche.errors import ConflictError
from cloche.rollout.objection import objection
from cloche.testing import START, deployment, verification

AT = START.isoformat()
ROLLOUT = Rollout(2, 1, Cause.DEPLOY, "me", AT, Phase.VERIFYING, AT)
EXPECTED, REFERENCE, TYPES, SMOKE, NONE = (verification(judge=judge) for judge in Judge)


def nonfinite(judged: Verification, *names: str) -> Verification:
    outputs = tuple(
        TensorDifference(name, "FP32", 4, 0, 0.0, 0.0, 0.0, 0.0, nonfinite=1) for name in names
    )
    return replace(judged, outputs=outputs)


@pytest.mark.parametrize(
    ("judged", "live", "accepted", "code"),
    [
        (SMOKE, None, (), None),
        (NONE, None, (), None),
        (REFERENCE, REFERENCE, (), None),
        (REFERENCE, SMOKE, (), None),
        (SMOKE, SMOKE, (), None),
        (REFERENCE, EXPECTED, (), "rollout.weaker"),
        (TYPES, REFERENCE, (), "rollout.weaker"),
        (NONE, SMOKE, (), "rollout.weaker"),
        (TYPES, REFERENCE, (Consent.WEAKER,), None),
        (TYPES, REFERENCE, (Consent.NONFINITE, Consent.REPLACE), "rollout.weaker"),
        (nonfinite(REFERENCE, "y"), REFERENCE, (), "rollout.nonfinite"),
        (nonfinite(REFERENCE, "y"), None, (), None),
        (nonfinite(REFERENCE, "y"), nonfinite(REFERENCE, "y"), (), None),
        (nonfinite(REFERENCE, "y"), REFERENCE, (Consent.NONFINITE,), None),
    ],
)
def test_less_than_the_live_revision_needs_a_yes(
    judged: Verification, live: Verification | None, accepted: tuple[Consent, ...], code: str | None
) -> None:
    rollout = replace(ROLLOUT, accepted=accepted)
    against = objection(rollout, judged, live, Operated())
    assert (against.code if against is not None else None) == code
    assert objection(replace(rollout, cause=Cause.ROLLBACK), judged, live, Operated()) is None
    followed = objection(replace(rollout, cause=Cause.FOLLOW), judged, live, Operated())
    assert (followed.code if followed is not None else None) == code


@pytest.mark.parametrize(("judged", "passes"), [
    (EXPECTED, True), (REFERENCE, True), (TYPES, False), (SMOKE, False), (NONE, False),
])  # fmt: skip
def test_required_verification_compares_values(judged: Verification, passes: bool) -> None:
    against = objection(ROLLOUT, judged, None, Operated(require_verification=True))
    assert (against is None) is passes


def test_a_weaker_judge_that_is_known_before_is_asked_before() -> None:
    engine = testing.engine()
    engine.deploy(deployment(model="a"))
    testing.settle(engine)
    weak = deployment(model="b")
    assert weak.golden is not None
    weak = replace(weak, golden=replace(weak.golden, judge=Judge.SMOKE, why="Nobody knows."))
    assert [each.consent for each in engine.plan(weak).questions] == [Consent.WEAKER]
    with pytest.raises(ConflictError, match="smoke") as caught:
        engine.deploy(weak)
    assert caught.value.code == "deploy.confirm"
    with pytest.raises(ConflictError) as caught:
        engine.deploy(replace(weak, operated=Operated(require_verification=True)))
    assert caught.value.code == "rollout.unverified"
    assert engine.service("digits")["wanted"] == 1


def test_a_weaker_judge_that_shows_itself_in_the_answer_ends_the_rollout() -> None:
    verifier = testing.FixedVerifier()
    engine = testing.engine(verifier=verifier)
    engine.deploy(deployment(model="a"))
    testing.settle(engine)
    verifier.outcomes["./b.onnx"] = verification(judge=Judge.TYPES)
    engine.deploy(deployment(model="b"))
    testing.settle(engine)
    service = engine.service("digits")
    assert (service["live"], service["failure"]["code"]) == (1, "rollout.weaker")
    assert "--accept-weaker" in service["failure"]["hint"]
    engine.deploy(deployment(model="b"), accept={Consent.WEAKER})
    testing.settle(engine)
    assert engine.service("digits")["live"] == 3
    assert engine.history("digits")["rollouts"][0]["accepted"] == ["weaker"]
