"""What a deploy asks before it does it: each question is decided from the record alone.

`plan` shows the questions, `deploy` refuses while one is not accepted, and the rollout keeps what
was. A further question is a value of `Consent`, a function here, and an option of the commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Consent, ObjectAction, Question
from cloche.artifacts.identity import are_versions_of_one, described
from cloche.errors import ConflictError
from cloche.rollout import interface
from cloche.rollout.objection import WEAKER, weaker

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.artifacts import Deployment, DeployPlan, Revision, Verification

_ASKED_LATER = frozenset({Consent.WEAKER, Consent.NONFINITE})
"""What only the answer of a replica may show to be needed: `cloche.rollout.objection`."""


def questions(
    deployment: Deployment,
    live: Revision | None,
    rolling: Revision | None,
    judged: Verification | None = None,
) -> tuple[Question, ...]:
    """Return what a new revision needs a yes for.

    `rolling` is the revision of the rollout under way, `judged` the live one's verification.
    """
    asked = (
        # Who replaces a model knows that it is another one.
        _replaces_another_model(deployment, live, rolling) or _changes_interface(deployment, live),
        _has_a_weaker_judge(deployment, judged),
    )
    return tuple(question for question in asked if question is not None)


def takes_over(plan: DeployPlan) -> tuple[Question, ...]:
    """Return what a plan needs a yes for because others set the fields that it changes."""
    theirs = [
        f"{field.path} of {each.kind} {each.name} belongs to {field.owner}"
        for each in plan.objects
        if each.action is ObjectAction.UPDATE
        for field in each.fields
        if field.owner is not None
    ]
    if not theirs:
        return ()
    return (
        Question(
            Consent.TAKE_OVER,
            f"Others set what this changes: {'; '.join(theirs)}.",
            "--take-over",
            "Or have them give it up.",
        ),
    )


def require(plan: DeployPlan, accepted: Collection[Consent]) -> tuple[Question, ...]:
    """Return the questions of a plan; raises ConflictError `deploy.confirm` if one is open."""
    for question in plan.questions:
        if question.consent not in accepted:
            raise refusal(plan.service, question)
    return plan.questions


def kept(plan: DeployPlan, accepted: Collection[Consent]) -> tuple[Consent, ...]:
    """Return what a rollout keeps of a yes: what was asked, and what its verification may ask."""
    asked = {question.consent for question in plan.questions} | _ASKED_LATER
    return tuple(sorted(asked & set(accepted)))


def refusal(service: str, question: Question) -> ConflictError:
    """Return the error for a question that was not accepted."""
    hint = f"If that is meant, add {question.flag}. {question.otherwise}"
    return ConflictError("deploy.confirm", question.what, where=service, hint=hint)


def _has_a_weaker_judge(deployment: Deployment, judged: Verification | None) -> Question | None:
    """Ask where it is known already that less would judge the answer than that of what is live."""
    golden = deployment.golden
    if golden is None or judged is None or not golden.judge.weaker_than(judged.judge):
        return None
    return Question(
        Consent.WEAKER,
        f"{weaker(golden.judge, judged.judge)} {golden.why or ''}".strip(),
        WEAKER,
        "A request whose answer can be compared is given with --example FILE.",
    )


def _changes_interface(deployment: Deployment, live: Revision | None) -> Question | None:
    """Ask where clients of the live revision would be answered otherwise, or not at all."""
    if live is None or not deployment.repository.digest:  # then a run of the model tells
        return None
    changed = interface.changes(live.deployment.repository, deployment.repository)
    if not changed:
        return None
    return Question(
        Consent.INTERFACE,
        f"Clients of {deployment.service} would notice: {'; '.join(changed)}.",
        "--accept-interface",
        "To serve both, give this one a name of its own with --name NAME.",
    )


def _replaces_another_model(
    deployment: Deployment, live: Revision | None, rolling: Revision | None
) -> Question | None:
    """Ask where two models share a name that nobody wrote; a name that was written is the yes."""
    current = [revision for revision in (live, rolling) if revision is not None]
    snapshot = deployment.main.snapshot
    if not deployment.name_is_derived or not current:
        return None
    if any(are_versions_of_one(snapshot, each.deployment.main.snapshot) for each in current):
        return None
    name, served = deployment.service, current[0].deployment.main.snapshot
    return Question(
        Consent.REPLACE,
        f"{name} serves {described(served)}. {described(snapshot)} is another model that would get"
        " the same name and replace it.",
        "--replace",
        "To serve both, give this one a name of its own with --name NAME.",
    )
