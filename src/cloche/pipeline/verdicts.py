"""What runs of models told, here or elsewhere: recorded by the model's digest and what was asked.

What this machine measured counts. What came with an image counts as much if the image lies in a
registry that the settings trust: then its conversion and its lock are taken, too. Of any other
image a plan tells it, and a deploy finds it out again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.artifacts import Finding, Severity, Verdict
from cloche.images import verdicts

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, ModelFacts
    from cloche.pipeline.asked import Asked
    from cloche.store import Store

_KIND = "verdict"
_TOLD = "verdict.told"
_SAFETY = "pickle."
"""How the codes begin of what is found in a model's pickles."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A verdict, and where it comes from."""

    verdict: Verdict
    image: str | None = None
    """The image that it came with; None for what was measured here."""
    trusted: bool = True
    """Whether a deploy goes by it."""


def known(asked: Asked, store: Store) -> Kept | None:
    """Return what is known of just what is asked; None without anything."""
    data = store.recall(_KIND, asked.verdict)
    if data is None:
        return None
    with suppress(ValueError):  # another state of this version wrote it
        found = artifacts.decode(Kept, data)
        return replace(found, verdict=verdicts.told_of(found.verdict, asked.snapshot))
    return None


def keep(deployment: Deployment, asked: Asked, store: Store) -> None:
    """Record what a run here told; what only came with an image stays that."""
    if any(each.code == _TOLD for each in deployment.main.facts.findings):
        return
    found = verdicts.of(replace(deployment, verdict=asked.verdict))
    if found is not None:
        store.remember(_KIND, found.asked, artifacts.encode(Kept(found)))


def give(kept: Kept, store: Store) -> bool:
    """Record what came with an image, and return whether it was; what was measured here stays."""
    data = store.recall(_KIND, kept.verdict.asked)
    with suppress(ValueError):
        there = artifacts.decode(Kept, data) if data else None
        if there is not None and (there.image is None or there.trusted > kept.trusted):
            return False
    store.remember(_KIND, kept.verdict.asked, artifacts.encode(kept))
    return True


def facts_of(kept: Kept, known: ModelFacts) -> ModelFacts:
    """Return the facts of a model as a run told them; `known` are those of its inspection here.

    How it is loaded, and what its pickles would run, is for this machine to say.
    """
    told = kept.verdict.facts
    said = (each for each in known.findings if each.code.startswith(_SAFETY))
    notes = (_told(kept),) if kept.image is not None else ()
    return replace(
        told,
        format=known.format,
        python=known.python,
        requirements=known.requirements,
        loading=known.loading,
        convertible=told.convertible and known.convertible,
        columns=known.columns,
        inputs_declared=known.inputs_declared,
        findings=tuple(dict.fromkeys((*told.findings, *said, *notes))),
    )


def findings(kept: Kept | None, deployment: Deployment) -> tuple[Finding, ...]:
    """Return what is to be said of a deployment where an image told something of its model."""
    if kept is None or kept.image is None or deployment.undetermined:
        return ()
    return () if _agrees(kept.verdict, deployment) else (_differs(kept),)


def _told(kept: Kept) -> Finding:
    what = f"What a run of this model tells came with {kept.image}."
    hint = None
    if not kept.trusted:
        hint = "A deploy finds it out again: the registry is not among `images.trusted`."
    return Finding(Severity.NOTE, _TOLD, what, hint=hint)


def _agrees(verdict: Verdict, deployment: Deployment) -> bool:
    member, told = deployment.main, verdict.conversion
    converted = member.conversion.digest if member.conversion is not None else None
    same = converted == (told.digest if told is not None else None)
    return same and member.facts.batch.present == verdict.facts.batch.present


def _differs(kept: Kept) -> Finding:
    what = f"A run here told otherwise of this model than what came with {kept.image}."
    hint = "What was found here counts. The packages that made the other may have been others."
    return Finding(Severity.WARNING, "verdict.differs", what, hint=hint)
