"""What is known of a deployment before its model has run: for plans, which run nothing of it.

Whether a model converts, what it takes where no signature says so, and whether its requests can be
joined: only a run tells. A run of the same on this machine is remembered, and not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import conversion
from cloche.artifacts import Deployment, Member, ModelRepository, RepositoryMember, Undetermined
from cloche.pipeline.software import Software

if TYPE_CHECKING:
    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot, OwnRun, Sandbox
    from cloche.pipeline.making import Making
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
        told = conversion.recalled(snapshot, asked, lock.digest, store)
        if told is None:
            raise _NotRunError(lock)
        return told


def deployment(making: Making, snapshot: ModelSnapshot) -> Deployment:
    """Return a deployment as far as it is known; `undetermined` has what is not.

    Its repository has no digest and no files where nothing tells yet what would be in it.
    """
    from cloche.verification import spec_example

    software = _Remembered(making.software.settings, making.software.progress)
    known = making.known(snapshot)
    try:
        source = replace(making, software=software).source(snapshot, known)
    except _NotRunError as error:
        return _unknown(making, snapshot, known, error.lock)
    repository = making.built(source)
    example = None
    if making.example is not None:
        example = spec_example.keep(making.example, source.facts, repository, making.store).request
    left = [Undetermined.REPOSITORY]
    if repository.main.max_batch_size > 1 and not making.spec.batching.max_batch_size:
        left.insert(0, Undetermined.BATCHES)
    return Deployment(
        service=making.spec.service_name,
        members=(
            Member(repository.main.name, snapshot, source.facts, source.lock, source.conversion),
        ),
        repository=repository,
        served=making.spec.served(),
        operated=making.spec.operated(),
        example=example,
        undetermined=tuple(left),
    )


def _unknown(making: Making, snapshot: ModelSnapshot, facts: ModelFacts, lock: Lock) -> Deployment:
    """Return the deployment of a model that has to run before a repository can be written."""
    spec = making.spec
    left = list(Undetermined)
    if spec.conversion == "off":
        left.remove(Undetermined.BACKEND)
    if facts.inputs and facts.outputs:
        left.remove(Undetermined.INTERFACE)
    return Deployment(
        service=spec.service_name,
        members=(Member(spec.service_name, snapshot, facts, lock),),
        repository=_unwritten(spec.service_name, facts),
        served=spec.served(),
        operated=spec.operated(),
        undetermined=tuple(left),
    )


def _unwritten(service: str, facts: ModelFacts) -> ModelRepository:
    main = RepositoryMember(service, "", facts.inputs, facts.outputs, 0)
    return ModelRepository(service, "", (), (main,))
