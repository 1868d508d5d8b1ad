"""The stages in order.

    resolve → inspect → lock → server, environment → trial → repository   (prepare)
    gateway                                                               (provision)
    Deployment → control plane → Target, State

Until a deployment is sent only the cache changes.

A prepared deployment is remembered by the digest of its inputs: preparing it again costs a resolve
and one look in the index.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cloche import artifacts, cache, composition
from cloche.artifacts import (
    Deployment,
    Lock,
    Member,
    ModelFacts,
    ModelRepository,
    ModelSnapshot,
)
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cloche.artifacts import Golden, InferenceBody
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec
    from cloche.store import Store
    from cloche.verification.direct_run import Model


def inspect(
    reference: str,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> tuple[ModelSnapshot, ModelFacts]:
    """Resolve a model reference and return what inspection finds, without running the model."""
    store = composition.store(settings)
    snapshot = resolve(
        reference, directory=directory, store=store, progress=progress, environment=environment
    )
    return snapshot, facts(snapshot, store)


def resolve(
    reference: str,
    *,
    directory: Path,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
) -> ModelSnapshot:
    """Resolve a reference; the snapshot's files are then in the store, under its digest.

    Relative paths start from `directory`. Sources read addresses and credentials from
    `environment`. Raises UsageError for a reference that cannot be right, UnavailableError for a
    registry that does not answer, and ClocheError for everything else.
    """
    from cloche import sources

    context = sources.ResolveContext(directory, environment, store, progress)
    return sources.resolve(reference, composition.sources(), context)


def facts(snapshot: ModelSnapshot, store: Store, *, service: str | None = None) -> ModelFacts:
    """Return what inspection finds in a stored model; `service` chooses one of several models."""
    form = composition.formats()[snapshot.format]
    return form.inspect(snapshot, store.tree_path(snapshot.digest), service=service)


def build(  # noqa: PLR0917 - the stages' values, in their order
    service: str,
    snapshot: ModelSnapshot,
    known: ModelFacts,
    lock: Lock | None,
    spec: ServiceSpec,
    store: Store,
) -> ModelRepository:
    """Return the repository of a model, written as a tree of the store."""
    make = composition.repository_maker(snapshot.format)
    return make(service, snapshot, known, lock, spec, store, backends=composition.backends())


def prepare(
    spec: ServiceSpec,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
    run_model: bool = True,
) -> Deployment:
    """Return the deployment that a spec describes; only the cache changes.

    Relative paths in the spec start from `directory`. The model answers a request by its own
    framework, which may install the server and the model's environment; without `run_model` nothing
    is installed, and the deployment has no golden request. If the cache outgrows its limit, the
    least recently used entries are evicted; what a revision needs or was used in the last hour
    stays.
    Raises ClocheError for everything that is already known to make the deploy fail.
    """
    example, example_digest = None, None
    if spec.example is not None:
        from cloche.verification import spec_example

        example = directory / spec.example
        example_digest = spec_example.digest_of_file(example)
    store = composition.store(settings)
    with store.working():
        snapshot = resolve(
            spec.model, directory=directory, store=store, progress=progress, environment=environment
        )
        key = _key(spec, snapshot, example_digest, run_model=run_model)
        deployment = _recall(store, key)
        if deployment is None:
            lock = partial(_lock, store=store, progress=progress, environment=environment)
            software = _Software(settings, progress) if run_model else None
            deployment = _make(spec, snapshot, store, example=example, lock=lock, software=software)
            store.remember("prepared", key, artifacts.encode(deployment))
            cache.make_room(settings)
    # The same files may be remembered with another reference or another operation.
    member = replace(deployment.main, snapshot=snapshot)
    return replace(
        deployment,
        members=(member,),
        operated=spec.operated(),
        name_is_derived=spec.name_is_derived,
    )


def golden(
    deployment: Deployment, example: Path, *, settings: Settings, progress: Progress
) -> Golden:
    """Return a golden request for a deployment that exists, from an example in a file.

    Raises ClocheError as `prepare` does for an example.
    """
    from cloche.verification import examination, spec_example

    store, member, repository = composition.store(settings), deployment.main, deployment.repository
    given = spec_example.keep(example, member.facts, repository, store)
    model = _Software(settings, progress).reference_run(member, repository, store)
    limit = deployment.operated.start_limit
    examined = examination.examine(member, repository.main, given, model, store, timeout=limit)
    return examined.golden(repository.main, store)


def provision(deployment: Deployment, *, settings: Settings, progress: Progress) -> None:
    """Install the server and the gateway and make the models' environments, if missing."""
    composition.installations(settings).install(progress)
    for member in deployment.members:
        if member.lock is not None:
            from cloche import environments

            environments.materialize(member.lock, settings.layout.environments, progress)


def _make(
    spec: ServiceSpec,
    snapshot: ModelSnapshot,
    store: Store,
    *,
    example: Path | None,
    lock: Callable[[ModelFacts], Lock | None],
    software: _Software | None,
) -> Deployment:
    """Inspect a model, let it answer, and build its repository from what it is seen to do."""
    from cloche.formats import require_servable
    from cloche.verification import examination, spec_example

    known = facts(snapshot, store, service=spec.service_name)
    require_servable(known, snapshot.pinned)
    locked = lock(known)
    draft = build(spec.service_name, snapshot, known, locked, spec, store)
    member = Member(draft.main.name, snapshot, known, locked)
    given = None
    if example is not None:
        given = spec_example.keep(example, known, draft, store)
    model = software.reference_run(member, draft, store) if software is not None else None
    limit = spec.operated().start_limit
    with software.progress.task("Asking the model") if software and model else nullcontext():
        examined = examination.examine(member, draft.main, given, model, store, timeout=limit)
    examined.refuse_batches(spec.batching.max_batch_size)
    repository = draft
    if examined.facts != known:
        repository = build(spec.service_name, snapshot, examined.facts, locked, spec, store)
    return Deployment(
        service=spec.service_name,
        members=(replace(member, facts=examined.facts),),
        repository=repository,
        served=spec.served(),
        operated=spec.operated(),
        example=given.request if given is not None else None,
        golden=examined.golden(repository.main, store) if software is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _Software:
    """The programs that run models directly."""

    settings: Settings
    progress: Progress

    def reference_run(
        self, member: Member, repository: ModelRepository, store: Store
    ) -> Model | None:
        """Return how to run a model by its own framework, with what that needs installed.

        None if only its server can run it.
        """
        from cloche import environments
        from cloche.verification.reference import direct_model

        layout, progress = self.settings.layout, self.progress
        return direct_model(
            member,
            repository,
            store,
            composition.references(),
            server=lambda: composition.server().install(layout.servers, progress).interpreter,
            environment=lambda lock: environments.materialize(lock, layout.environments, progress),
        )


def _lock(
    known: ModelFacts, *, store: Store, progress: Progress, environment: Mapping[str, str]
) -> Lock | None:
    """Return a model's resolved dependencies; None if it has none."""
    if not known.requirements or not known.python:
        return None
    from cloche import environments

    return environments.lock(
        known.requirements, known.python, store=store, progress=progress, environment=environment
    )


def _key(
    spec: ServiceSpec, snapshot: ModelSnapshot, example: str | None, *, run_model: bool
) -> str:
    """Return the digest of everything that the prepared result depends on."""
    inputs = [
        __version__,
        spec.service_name,
        artifacts.asked_for(spec.served()),
        snapshot.digest,
        snapshot.format,
        snapshot.entry,
        snapshot.metadata,
        example,
        run_model,
    ]
    return artifacts.digest_of(artifacts.encode(inputs)).removeprefix("sha256:")


def _recall(store: Store, key: str) -> Deployment | None:
    """Return a remembered deployment if its bytes are still in the store."""
    import msgspec

    data = store.recall("prepared", key)
    if data is None:
        return None
    try:
        deployment = artifacts.decode(Deployment, data)
    except msgspec.ValidationError:  # an earlier state of this version wrote it
        return None
    if not all(store.use(body.digest) for body in _bodies(deployment)):
        return None
    return deployment if store.whole(deployment.repository.digest) else None


def _bodies(deployment: Deployment) -> Iterator[InferenceBody]:
    """Yield the requests and answers of a deployment."""
    if deployment.example is not None:
        yield deployment.example
    if deployment.golden is not None:
        yield from deployment.golden.bodies()
