"""The stages in order.

    resolve → inspect → lock → repository   (prepare: only cache changes)
    server, gateway, environment            (provision: only cache changes)
    Deployment → control plane → Target, State

What a command prepares it remembers by the digest of all that went in, so that preparing the same
thing again costs a resolve and one look in the index.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import artifacts, cache
from cloche import composition as opening
from cloche.artifacts import (
    Deployment,
    InferenceBody,
    Lock,
    ModelFacts,
    ModelFormat,
    ModelRepository,
    ModelSnapshot,
)
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec
    from cloche.store import Store


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model resolved, inspected, locked and written as a repository, ready to be deployed."""

    spec: ServiceSpec
    snapshot: ModelSnapshot
    facts: ModelFacts
    lock: Lock | None
    repository: ModelRepository
    example: InferenceBody | None

    def deployment(self) -> Deployment:
        """Return what the control plane is handed."""
        return Deployment(
            service=self.spec.service_name,
            snapshot=self.snapshot,
            facts=self.facts,
            repository=self.repository,
            lock=self.lock,
            served=self.spec.served(),
            operated=self.spec.operated(),
            example=self.example,
        )


@dataclass(frozen=True, slots=True)
class _Remembered:
    facts: ModelFacts
    lock: Lock | None
    repository: ModelRepository
    example: InferenceBody | None = None


def inspect(
    reference: str,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> tuple[ModelSnapshot, ModelFacts]:
    """Resolve a model reference and say what is known of the model without running it."""
    from cloche import sources

    store = opening.store(settings)
    snapshot = sources.resolve(
        reference, directory=directory, store=store, progress=progress, environment=environment
    )
    return snapshot, _facts(snapshot, store, service=None)


def prepare(
    spec: ServiceSpec,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> Prepared:
    """Take a spec to a finished repository in the store; nothing but cache changes.

    Relative paths in the spec start from `directory`. If the cache outgrows its limit, the least
    recently used entries are evicted; what a revision needs or was used in the last hour stays.
    Raises ClocheError for everything known now that would make the deploy fail later.
    """
    from cloche import sources
    from cloche.verification import spec_example as given_example

    example = None if spec.example is None else directory / spec.example
    example_digest = None if example is None else given_example.digest_of_file(example)
    store = opening.store(settings)
    with store.working():
        snapshot = sources.resolve(
            spec.model, directory=directory, store=store, progress=progress, environment=environment
        )
        key = _key(spec, snapshot, example_digest)
        made = _recall(store, key)
        if made is None:
            made = _make(
                spec,
                snapshot,
                store,
                example=example,
                progress=progress,
                environment=environment,
            )
            store.remember("prepared", key, artifacts.encode(made))
            cache.make_room(settings)
    return Prepared(spec, snapshot, made.facts, made.lock, made.repository, made.example)


def provision(prepared: Prepared, *, settings: Settings, progress: Progress) -> None:
    """Install the server and the gateway, and make the model's environment, where missing."""
    from cloche.servers import triton
    from cloche.targets.local.envoy import installation as envoy

    servers = settings.layout.servers
    triton.install(servers, progress)
    envoy.install(servers, progress)
    if prepared.lock is not None:
        from cloche import environments

        environments.materialize(prepared.lock, settings.layout.environments, progress)


def _make(
    spec: ServiceSpec,
    snapshot: ModelSnapshot,
    store: Store,
    *,
    example: Path | None,
    progress: Progress,
    environment: Mapping[str, str],
) -> _Remembered:
    from cloche import inspection, repository
    from cloche.verification import spec_example as given_example

    facts = _facts(snapshot, store, service=spec.service_name)
    inspection.require_servable(facts, snapshot.pinned)
    lock = None
    if facts.requirements and facts.python:
        from cloche import environments

        lock = environments.lock(
            facts.requirements,
            facts.python,
            store=store,
            progress=progress,
            environment=environment,
        )
    built = repository.build(spec.service_name, snapshot, facts, lock, spec, store)
    if example is None:
        return _Remembered(facts, lock, built)
    return _Remembered(facts, lock, built, given_example.keep(example, facts, built, store))


def _facts(snapshot: ModelSnapshot, store: Store, *, service: str | None) -> ModelFacts:
    """Inspect what a snapshot holds; `service` says which model of a repository is meant."""
    from cloche import inspection

    tree = store.tree_path(snapshot.digest)
    if snapshot.format is not ModelFormat.TRITON:
        return inspection.inspect(snapshot, tree)
    from cloche.inspection.onnx import inspect_file
    from cloche.repository import finished

    return finished.facts(
        snapshot,
        tree,
        service=service,
        inspect_onnx=lambda path: inspect_file(path, root=path.parent),
    )


def _key(spec: ServiceSpec, snapshot: ModelSnapshot, example: str | None) -> str:
    """Return the digest of everything that the prepared result depends on."""
    made_of = [
        __version__,
        spec.service_name,
        spec.served(),
        snapshot.digest,
        snapshot.format,
        snapshot.entry,
        snapshot.metadata,
        example,
    ]
    return artifacts.digest_of(artifacts.encode(made_of)).removeprefix("sha256:")


def _recall(store: Store, key: str) -> _Remembered | None:
    """Return a remembered result whose bytes are still in the store."""
    data = store.recall("prepared", key)
    if data is None:
        return None
    made = artifacts.decode(_Remembered, data)
    if made.example is not None and not store.use(made.example.digest):
        return None
    return made if store.whole(made.repository.digest) else None
