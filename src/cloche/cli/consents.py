"""Asking on a terminal for what a deploy does only with a yes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import Consent, DeployPlan


def asked(
    accepted: frozenset[Consent], plan: Callable[[], DeployPlan | None], *, as_json: bool
) -> frozenset[Consent]:
    """Return `accepted`, and what a person at a terminal says yes to.

    Without a terminal nobody is asked and `plan` is not called: the control plane decides the same
    questions again, and its refusal names the option. Raises that refusal after a no.
    """
    from cloche.rollout import consent

    if as_json or not sys.stdin.isatty():
        return accepted
    planned = plan()
    if planned is None:
        return accepted
    for question in planned.questions:
        if question.consent in accepted:
            continue
        click.echo(question.what, err=True)
        if not click.confirm("Go on?", default=False, err=True):
            raise consent.refusal(planned.service, question)
        accepted |= {question.consent}
    return accepted
