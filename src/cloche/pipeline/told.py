"""Deployments from what an earlier run of a model told, here or on another machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.conversion import converted_snapshot
from cloche.errors import ClocheError
from cloche.pipeline import stages, verdicts
from cloche.pipeline.making import Source

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, ModelFacts, ModelSnapshot
    from cloche.pipeline.making import Making
    from cloche.pipeline.verdicts import Kept
    from cloche.store import Store


def foreseen(making: Making, snapshot: ModelSnapshot, kept: Kept) -> Deployment | None:
    """Return the deployment that a verdict tells of, to be planned; None without its files."""
    try:
        source = _source(making, snapshot, kept)
        if source is None:
            return None
        return replace(making.unasked(snapshot, source), golden=kept.verdict.golden)
    except ClocheError:
        if kept.trusted:
            raise
        return None


def made(
    making: Making, snapshot: ModelSnapshot, kept: Kept | None, *, run_model: bool
) -> Deployment:
    """Return the deployment of a model; what a trusted verdict tells is not found out again.

    The model answers all the same: no verdict judges what is served, its own framework does.
    """
    believed = kept is not None and kept.trusted
    source = _source(making, snapshot, kept) if kept is not None and believed else None
    return making.deployment(snapshot, run_model=run_model, source=source)


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
