"""Deployments from what an earlier run of a model told, here or on another machine.

A model that is served as what it became needs its own framework for one thing alone: to be asked
what is right. Where a trusted image brings the right answer, too, that framework, and the
environment it takes, is not needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.conversion import converted_snapshot
from cloche.errors import ClocheError
from cloche.pipeline import stages, verdicts
from cloche.pipeline.making import Source

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, Golden, ModelFacts, ModelSnapshot
    from cloche.pipeline.making import Making
    from cloche.pipeline.verdicts import Kept
    from cloche.store import Store


def foreseen(making: Making, snapshot: ModelSnapshot, kept: Kept) -> Deployment | None:
    """Return the deployment that a verdict tells of, to be planned; None without its files."""
    try:
        source = _source(making, snapshot, kept)
        if source is None:
            return None
        source, golden = _judged(making, source, kept)
        return replace(making.unasked(snapshot, source), golden=golden or kept.verdict.golden)
    except ClocheError:
        if kept.trusted:
            raise
        return None


def made(
    making: Making, snapshot: ModelSnapshot, kept: Kept | None, *, run_model: bool
) -> Deployment:
    """Return the deployment of a model; what a trusted verdict tells is not found out again.

    Its own framework answers all the same: here, or where the image of a converted model comes
    from.
    """
    source, golden = None, None
    if kept is not None and kept.trusted:
        source = _source(making, snapshot, kept)
        if source is not None:
            source, golden = _judged(making, source, kept)
    if source is None or golden is None:
        return making.deployment(snapshot, run_model=run_model, source=source)
    return replace(making.unasked(snapshot, source), golden=golden)


def lacks_files(kept: Kept, store: Store) -> bool:
    """Return whether what a verdict names is not here: its conversion, wheels of its lock."""
    made, lock = kept.verdict.conversion, kept.verdict.lock
    if made is not None and not store.whole(made.digest):
        return True
    return lock is not None and not all(store.use(wheel.digest) for wheel in lock.built)


def _source(making: Making, snapshot: ModelSnapshot, kept: Kept) -> Source | None:
    """Return what a model is served from as a verdict has it.

    None where files are missing, and where inspection finds another model than it tells of.
    """
    verdict, store = kept.verdict, making.store
    if lacks_files(kept, store):
        return None
    known, converted = making.known(snapshot), None
    if verdict.conversion is not None:
        converted = stages.facts(converted_snapshot(snapshot, verdict.conversion), store)
    if not _fits(verdict.facts, known, converted):
        return None
    facts = verdicts.facts_of(kept, known, converted)
    asked = verdict.golden.requests[0] if verdict.golden is not None else None
    sample = asked if asked is not None and store.use(asked.digest) else None
    return Source(snapshot, facts, verdict.lock, verdict.conversion, sample)


def _fits(told: ModelFacts, known: ModelFacts, converted: ModelFacts | None) -> bool:
    """Return whether what is told can be of the model that inspection knows."""
    if converted is not None:
        return _tensors(told) == _tensors(converted)
    if known.loading is not None and told.backend == "python":
        return bool(told.inputs and told.outputs)
    return told.backend == known.backend and _tensors(told)[0] == _tensors(known)[0]


def _tensors(facts: ModelFacts) -> list[list[tuple[str, str]]]:
    """Return names and datatypes, without the tensors that mark what another lacks."""
    return [
        [(each.name, each.datatype) for each in tensors if each.marks is None]
        for tensors in (facts.inputs, facts.outputs)
    ]


# ── what judges it ────────────────────────────────────────────────────────────────────────────


def _judged(making: Making, source: Source, kept: Kept) -> tuple[Source, Golden | None]:
    """Return a source that says what judges it, and the golden request that its image brought.

    None where the model's own framework is asked here: it serves the model, or nothing that is to
    be trusted came with the image.
    """
    if kept.image is None or not kept.trusted or source.conversion is None:
        return source, None
    golden = kept.verdict.golden
    why = _why_asked_here(making, source, golden)
    said = _asked_there(kept.image) if why is None else _asked_here(kept.image, why)
    facts = replace(source.facts, findings=(*source.facts.findings, said))
    judge = replace(golden, answer_from=kept.image) if golden is not None and not why else None
    return replace(source, facts=facts), judge


def _why_asked_here(making: Making, source: Source, golden: Golden | None) -> str | None:
    """Return why a model is asked here, although what it became came with an image; None if not."""
    from cloche.verification import golden as requests

    store = making.store
    if golden is None or not all(store.use(body.digest) for body in golden.bodies()):
        return "the right answer is not on this machine"
    if making.spec.batching.max_batch_size and not source.facts.batch.present:
        return "batching.max_batch_size is set, although requests were not joined there"
    if not requests.fits(golden, making.built(source).main, store):
        return "requests are joined otherwise than there"
    return None


def _asked_there(image: str) -> Finding:
    what = (
        f"Its answer is compared with that of the model's own framework on another machine, which"
        f" came with {image}: no environment is made for that here."
    )
    return Finding(Severity.NOTE, "verdict.answer", what)


def _asked_here(image: str, why: str) -> Finding:
    what = f"The model's own framework is asked here, in an environment of its own: {why}."
    hint = f"`cloche image pull` brings the answer with {image}, where it lies beside it."
    return Finding(Severity.NOTE, "verdict.asked_here", what, hint=hint)
