"""What runs of models told, here or elsewhere: recorded by the model's digest and what was asked.

What this machine measured counts. What came with an image counts as much while the image lies in a
registry that the settings trust: then its conversion and its lock are taken, too. Of any other
image a plan tells it, and a deploy finds it out again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import artifacts, composition
from cloche.artifacts import Finding, Severity, Verdict
from cloche.clients.oci import reference as references
from cloche.images import verdicts

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, ModelFacts
    from cloche.pipeline.asked import Asked
    from cloche.settings import Settings
    from cloche.store import Store

_KIND = "verdict"
_OF_MODEL = "verdict-model"
"""The image that last told something of a model, by the model's digest."""
_TOLD = "verdict.told"
_SAFETY = "pickle."
"""How the codes begin of what is found in a model's pickles."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    verdict: Verdict
    image: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A verdict, and where it comes from."""

    verdict: Verdict
    image: str | None
    """The image that it came with; None for what was measured here."""
    trusted: bool
    """Whether a deploy goes by it."""


def known(asked: Asked, settings: Settings) -> Kept | None:
    """Return what is known of just what is asked; None without anything."""
    found = _recorded(asked.verdict, settings)
    if found is None:
        return None
    verdict = verdicts.told_of(found.verdict, asked.snapshot)
    return Kept(verdict, found.image, is_trusted(found.image, settings))


def is_trusted(image: str | None, settings: Settings) -> bool:
    """Return whether a deploy goes by what came with an image: its registry is trusted now.

    None stands for what was measured here.
    """
    if image is None:
        return True
    found = references.parse(image)
    place = f"{found.host}/{found.name}/"
    return any(place.startswith(f"{each}/") for each in settings.images_trusted)


def holds(deployment: Deployment, kept: Kept | None) -> bool:
    """Return whether a deployment that was made earlier would be made again so.

    One that went by what came with an image does so only while that is trusted.
    """
    if not _is_told(deployment):
        return True
    return kept is not None and kept.image is not None and kept.trusted


def _is_told(deployment: Deployment) -> bool:
    return any(each.code == _TOLD for each in deployment.main.facts.findings)


def keep(deployment: Deployment, asked: Asked, store: Store) -> None:
    """Record what a run here told; what only came with an image stays that."""
    if _is_told(deployment):
        return
    found = verdicts.of(replace(deployment, verdict=asked.verdict))
    if found is not None:
        store.remember(_KIND, found.asked, artifacts.encode(_Recorded(found, None)))


def give(verdict: Verdict, image: str, settings: Settings) -> bool:
    """Record what came with an image, and return whether it was.

    What was measured here stays, and what came from a trusted registry where this one is none.
    """
    store = composition.store(settings)
    store.remember(_OF_MODEL, verdict.model.removeprefix("sha256:"), image.encode())
    there = _recorded(verdict.asked, settings)
    if there is not None:
        is_stronger = is_trusted(there.image, settings) and not is_trusted(image, settings)
        if there.image is None or is_stronger:
            return False
    store.remember(_KIND, verdict.asked, artifacts.encode(_Recorded(verdict, image)))
    return True


def _recorded(key: str, settings: Settings) -> _Recorded | None:
    data = composition.store(settings).recall(_KIND, key)
    with suppress(ValueError):  # another state of this version wrote it
        return artifacts.decode(_Recorded, data) if data is not None else None
    return None


def facts_of(kept: Kept, known: ModelFacts, converted: ModelFacts | None) -> ModelFacts:
    """Return the facts of a model with what only a run tells of it.

    All else is as inspection finds it here: in the model, or in what it was `converted` to.
    """
    told = kept.verdict.facts
    said = (each for each in known.findings if each.code.startswith(_SAFETY))
    notes = (_told(kept),) if kept.image is not None else ()
    return replace(
        converted or known,
        format=known.format,
        framework=told.framework,
        backend=told.backend,
        python=known.python,
        requirements=known.requirements,
        loading=known.loading,
        convertible=told.convertible and known.convertible,
        columns=known.columns,
        inputs_declared=known.inputs_declared,
        inputs=told.inputs,
        outputs=told.outputs,
        outputs_assumed=told.outputs_assumed,
        batch=told.batch,
        labels=told.labels,
        findings=tuple(dict.fromkeys((*told.findings, *said, *notes))),
    )


def findings(
    kept: Kept | None, deployment: Deployment, asked: Asked, settings: Settings
) -> tuple[Finding, ...]:
    """Return what is to be said of a deployment where an image told something of its model."""
    if kept is None:
        return _of_others(asked, settings)
    if kept.image is None:
        return ()
    if deployment.undetermined:
        return () if _is_told(deployment) else (_unfit(kept),)
    return () if _agrees(kept.verdict, deployment) else (_differs(kept),)


def _of_others(asked: Asked, settings: Settings) -> tuple[Finding, ...]:
    """Return what is to be said where an image told something of the model, and not of this."""
    key = asked.snapshot.digest.removeprefix("sha256:")
    image = composition.store(settings).recall(_OF_MODEL, key)
    if image is None or _recorded(asked.verdict, settings) is not None:
        return ()
    what = (
        f"What came with {image.decode()} is of another example, cloche.yaml or version of Cloche:"
        " it is not used."
    )
    hint = "A deploy finds it out here, in an environment of the model's own."
    return (Finding(Severity.NOTE, "verdict.other", what, hint=hint),)


def _told(kept: Kept) -> Finding:
    what = f"What a run of this model tells came with {kept.image}."
    hint = None
    if not kept.trusted:
        hint = "A deploy finds it out again: the registry is not among `images.trusted`."
    return Finding(Severity.NOTE, _TOLD, what, hint=hint)


def _unfit(kept: Kept) -> Finding:
    what = f"What came with {kept.image} does not fit this model, and is not used."
    return Finding(Severity.WARNING, "verdict.unfit", what, hint="A deploy finds it out here.")


def _agrees(verdict: Verdict, deployment: Deployment) -> bool:
    member, told = deployment.main, verdict.conversion
    converted = member.conversion.digest if member.conversion is not None else None
    same = converted == (told.digest if told is not None else None)
    return same and member.facts.batch.present == verdict.facts.batch.present


def _differs(kept: Kept) -> Finding:
    what = f"A run here told otherwise of this model than what came with {kept.image}."
    hint = "What was found here counts. The packages that made the other may have been others."
    return Finding(Severity.WARNING, "verdict.differs", what, hint=hint)
