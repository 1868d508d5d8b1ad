"""What a deploy asks before it does it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloche import testing
from cloche.artifacts import Consent, Deployment, Question, Revision
from cloche.errors import ConflictError
from cloche.rollout import consent
from cloche.rollout.change import decide_change
from cloche.testing import deployment

A, B, C = (deployment(model=model, derived=True) for model in "abc")


def revision(made: Deployment | None, number: int = 1) -> Revision | None:
    return None if made is None else Revision("digits", number, made.digest, made, "2026")


def trained_again(made: Deployment, digest: str = "sha256:1") -> Deployment:
    """The same file with other bytes."""
    main = made.main
    snapshot = replace(main.snapshot, digest=digest)
    return replace(made, members=(replace(main, snapshot=snapshot),))


@pytest.mark.parametrize(
    ("asked", "live", "rolling", "asks"),
    [
        (A, None, None, False),
        (A, A, None, False),
        (trained_again(A), A, None, False),
        (B, A, None, True),
        (replace(B, name_is_derived=False), A, None, False),
        # who wrote the name of what is live makes no difference
        (B, replace(A, name_is_derived=False), None, True),
        # a rollout under way had its own yes
        (trained_again(B), A, B, False),
        (trained_again(A), A, B, False),
        (C, A, B, True),
        (B, None, A, True),
    ],
)
def test_another_model_under_a_name_that_nobody_wrote(
    asked: Deployment, live: Deployment | None, rolling: Deployment | None, *, asks: bool
) -> None:
    found = consent.questions(asked, revision(live), revision(rolling, 2))
    assert [question.consent for question in found] == [Consent.REPLACE] * asks


def test_a_question_names_both_models_and_what_to_do() -> None:
    (question,) = consent.questions(B, revision(A), None)
    assert "/models/a.onnx" in question.what
    assert "/models/b.onnx" in question.what
    assert question.flag == "--replace"
    error = consent.refusal("digits", question)
    assert (error.code, error.exit_code, error.where) == ("deploy.confirm", 1, "digits")
    assert "--replace" in (error.hint or "")
    assert "--name NAME" in (error.hint or "")


def test_the_engine_refuses_before_anything_changes_and_keeps_what_was_accepted() -> None:
    engine = testing.engine()
    engine.deploy(A)
    testing.settle(engine)
    before = engine.status(), engine.events(), engine.revisions("digits")
    assert [each.consent for each in engine.plan(B).questions] == [Consent.REPLACE]
    with pytest.raises(ConflictError) as caught:
        engine.deploy(B)
    assert caught.value.code == "deploy.confirm"
    assert (engine.status(), engine.events(), engine.revisions("digits")) == before
    assert engine.deploy(B, accept={Consent.REPLACE})["revision"] == 2
    testing.settle(engine)
    newest, oldest = engine.history("digits")["rollouts"]
    assert (newest["accepted"], oldest["accepted"]) == (["replace"], [])
    told = next(event for event in engine.events("digits") if event.revision == 2)
    (accepted,) = told.detail["accepted"]
    assert accepted["consent"] == "replace"
    # a yes to what is not asked is not kept
    engine.deploy(replace(B, served=replace(B.served, instances=2)), accept={Consent.REPLACE})
    assert engine.history("digits")["rollouts"][0]["accepted"] == []


def test_nothing_is_asked_where_nothing_would_change() -> None:
    engine = testing.engine()
    engine.deploy(A)
    engine.deploy(B, accept={Consent.REPLACE})
    assert engine.plan(B).questions == ()
    assert engine.deploy(B)["change"] == "none"


def test_every_question_of_a_plan_needs_its_own_yes() -> None:
    plan = decide_change(A, None)
    plan = replace(plan, questions=(Question(Consent.REPLACE, "What.", "--replace", "Or not."),))
    with pytest.raises(ConflictError):
        consent.require(plan, ())
    consent.require(plan, {Consent.REPLACE})
