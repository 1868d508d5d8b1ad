"""What is known of a deployment before its model has run: for plans, which run nothing of it.

Whether a model converts, what it takes where no signature says so, and whether its requests can be
joined: only a run tells. A run of the same on this machine is remembered, and not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import conversion
from cloche.artifacts import Deployment, Member, ModelRepository, RepositoryMember, Undetermined
from cloche.pipeline import told, verdicts
from cloche.pipeline.software import Software

if TYPE_CHECKING:
    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot, OwnRun, Sandbox
    from cloche.pipeline.making import Making
    from cloche.pipeline.verdicts import Kept
    from cloche.store import Store


class _NotRunError(Exception):
    """Nothing remembers a run of the model; `lock` is that of its environment."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock


@dataclass(frozen=True, slots=True)
class _Remembered(Software):
    """Runs nothing: answers what earlier runs told."""

    def own_run(
        self,
        snapshot: ModelSnapshot,
        asked: conversion.Asked,
        lock: Lock,
        store: Store,
        *,
        timeout: float,  # noqa: ARG002 - nothing runs
        sandbox: Sandbox,  # noqa: ARG002 - the same
    ) -> OwnRun:
        known = conversion.recalled(snapshot, asked, lock.digest, store)
        if known is None:
            raise _NotRunError(lock)
        return known


def deployment(making: Making, snapshot: ModelSnapshot, kept: Kept | None = None) -> Deployment:
    """Return a deployment as far as it is known; `undetermined` has what is not.

    Its repository has no digest and no files where nothing tells yet what would be in it. `kept`
    has what an earlier run of the model told, or an image.
    """
    if kept is not None:
        foreseen = told.foreseen(making, snapshot, kept)
        if foreseen is None and told.lacks_files(kept, making.store):
            foreseen = _without_files(making, snapshot, kept)
        if foreseen is not None:
            return foreseen
    software = _Remembered(making.software.settings, making.software.progress)
    known = making.known(snapshot)
    try:
        source = replace(making, software=software).source(snapshot, known)
    except _NotRunError as error:
        return _unknown(making, snapshot, known, error.lock)
    found = making.unasked(snapshot, source)
    left = [Undetermined.REPOSITORY]
    if found.repository.main.max_batch_size > 1 and not making.spec.batching.max_batch_size:
        left.insert(0, Undetermined.BATCHES)
    return replace(found, undetermined=tuple(left))


def _unknown(making: Making, snapshot: ModelSnapshot, facts: ModelFacts, lock: Lock) -> Deployment:
    """Return the deployment of a model that has to run before a repository can be written."""
    left = list(Undetermined)
    if making.spec.conversion == "off":
        left.remove(Undetermined.BACKEND)
    if facts.inputs and facts.outputs:
        left.remove(Undetermined.INTERFACE)
    member = Member(making.spec.service_name, snapshot, facts, lock)
    return _unbuilt(making, member, tuple(left))


def _without_files(making: Making, snapshot: ModelSnapshot, kept: Kept) -> Deployment:
    """Return the deployment of a model that converts to files which are not here."""
    verdict = kept.verdict
    facts = verdicts.facts_of(kept, making.known(snapshot), None)
    name = making.spec.service_name
    member = Member(name, snapshot, facts, verdict.lock, verdict.conversion)
    found = _unbuilt(making, member, (Undetermined.BATCHES, Undetermined.REPOSITORY))
    return replace(found, golden=verdict.golden)


def _unbuilt(making: Making, member: Member, left: tuple[Undetermined, ...]) -> Deployment:
    spec = making.spec
    return Deployment(
        service=spec.service_name,
        members=(member,),
        repository=_unwritten(spec.service_name, member.facts),
        served=spec.served(),
        operated=spec.operated(),
        undetermined=left,
    )


def _unwritten(service: str, facts: ModelFacts) -> ModelRepository:
    main = RepositoryMember(service, "", facts.inputs, facts.outputs, 0)
    return ModelRepository(service, "", (), (main,))
