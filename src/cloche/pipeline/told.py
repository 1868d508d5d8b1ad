"""Deployments from what an earlier run of a model told, here or on another machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.pipeline import verdicts
from cloche.pipeline.making import Source

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, ModelSnapshot
    from cloche.pipeline.making import Making
    from cloche.pipeline.verdicts import Kept


def foreseen(making: Making, snapshot: ModelSnapshot, kept: Kept) -> Deployment | None:
    """Return the deployment that a verdict tells of, to be planned; None without its files."""
    source = _source(making, snapshot, kept)
    if source is None:
        return None
    return replace(making.unasked(snapshot, source), golden=kept.verdict.golden)


def made(
    making: Making, snapshot: ModelSnapshot, kept: Kept | None, *, run_model: bool
) -> Deployment:
    """Return the deployment of a model; what a trusted verdict tells is not found out again.

    The model answers all the same: no verdict judges what is served, its own framework does.
    """
    believed = kept is not None and kept.trusted
    source = _source(making, snapshot, kept) if kept is not None and believed else None
    return making.deployment(snapshot, run_model=run_model, source=source)


def _source(making: Making, snapshot: ModelSnapshot, kept: Kept) -> Source | None:
    """Return what a model is served from as a verdict has it; None where files are missing."""
    verdict, store = kept.verdict, making.store
    if verdict.conversion is not None and not store.whole(verdict.conversion.digest):
        return None
    built = verdict.lock.built if verdict.lock is not None else ()
    if not all(store.use(wheel.digest) for wheel in built):
        return None
    facts = verdicts.facts_of(kept, making.known(snapshot))
    asked = verdict.golden.requests[0] if verdict.golden is not None else None
    sample = asked if asked is not None and store.use(asked.digest) else None
    return Source(snapshot, facts, verdict.lock, verdict.conversion, sample)
