"""The stages in order.

    resolve → inspect → lock → environment → conversion → server → trial → repository   (prepare)
    image of the replicas, gateway                                                      (provision)
    Deployment → control plane → Target, State

Until a deployment is sent only the cache changes.

A prepared deployment is remembered by the digest of its inputs: preparing it again costs a resolve
and one look in the index.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cloche import artifacts, cache, composition
from cloche.artifacts import Deployment, Finding, ModelFacts, ModelOptions, ModelSnapshot
from cloche.pipeline import asked, lock_file, told, verdicts
from cloche.pipeline.runtime import provision, require_runtime
from cloche.pipeline.software import Software
from cloche.pipeline.stages import build, facts, lock, resolve

__all__ = [
    "build",
    "facts",
    "foreseen",
    "golden",
    "inspect",
    "known",
    "lock",
    "prepare",
    "provision",
    "require_runtime",
    "resolve",
    "write_lock",
]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cloche.artifacts import Golden
    from cloche.pipeline.asked import Asked
    from cloche.pipeline.making import Making
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec
    from cloche.store import Store


def inspect(
    reference: str,
    *,
    options: ModelOptions | None = None,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> tuple[ModelSnapshot, ModelFacts]:
    """Resolve a model reference and return what inspection finds, without running the model."""
    store = composition.store(settings)
    given = options or ModelOptions()
    snapshot = resolve(
        reference, directory=directory, store=store, progress=progress, environment=environment,
        trust=bool(given.trust),
    )  # fmt: skip
    return snapshot, facts(snapshot, store, given)


def prepare(
    spec: ServiceSpec,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
    run_model: bool = True,
    anew: bool = False,
) -> Deployment:
    """Return the deployment that a spec describes; only the cache changes.

    Relative paths in the spec start from `directory`. The model answers a request by its own
    framework, which may install the server and the model's environment; without `run_model` nothing
    is installed, and the deployment has no golden request. What a cloche.lock in `directory` or a
    trusted image knows is not found out again, unless all is made `anew`. What the cache has above
    its limit is evicted, as `cloche.cache.make_room`. Raises ClocheError for everything that is
    already known to make the deploy fail.
    """
    store = composition.store(settings)
    with store.working():
        given = asked.of(spec, directory, settings, progress=progress, environment=environment,
                         run_model=run_model)  # fmt: skip
        kept, before = lock_file.Known(None, outdated=False, store=store), None
        if run_model and not anew:
            kept = lock_file.Known.of(directory, spec.service_name, given.key, store)
            before = verdicts.known(given, settings)
        deployment = _recall(store, given.key, before)
        if deployment is None:
            making = _making(given, settings, progress, environment)
            deployment = kept.made_again(making, given.snapshot)
            if deployment is None:
                deployment = told.made(making, given.snapshot, before, run_model=run_model)
            store.remember("prepared", given.key, artifacts.encode(deployment))
            if run_model:
                verdicts.keep(deployment, given, store)
            cache.make_room(settings)
    said = *kept.findings(deployment), *verdicts.findings(before, deployment, given, settings)
    return _as_asked(deployment, given, said, verdict=given.verdict if run_model else "")


def foreseen(
    spec: ServiceSpec,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> Deployment:
    """Return the deployment that a spec describes as far as it is known, to be planned.

    Nothing of the model runs, and nothing is installed: what an earlier run or a cloche.lock in
    `directory` knows is in it, and what only a run tells is `undetermined`. Its files may be
    missing. Raises ClocheError as `prepare` does, for what is known by then.
    """
    from cloche.pipeline import before_run

    store = composition.store(settings)
    with store.working():
        given = asked.of(
            spec, directory, settings, progress=progress, environment=environment, run_model=True
        )
        kept = lock_file.Known.of(directory, spec.service_name, given.key, store)
        before = verdicts.known(given, settings)
        deployment = _recall(store, given.key, before) or kept.deployment
        if deployment is None:
            making = _making(given, settings, progress, environment)
            deployment = before_run.deployment(making, given.snapshot, before)
            cache.make_room(settings)
    said = *kept.findings(deployment), *verdicts.findings(before, deployment, given, settings)
    return _as_asked(deployment, given, said, verdict=given.verdict)


def _as_asked(
    deployment: Deployment, given: Asked, said: tuple[Finding, ...], *, verdict: str
) -> Deployment:
    """Return a deployment as it is asked for now, with what is `said` of it.

    The same files may be remembered with another reference or another operation.
    """
    facts = deployment.main.facts
    facts_now = replace(facts, findings=(*facts.findings, *said))
    member = replace(deployment.main, snapshot=given.snapshot, facts=facts_now)
    return replace(
        deployment,
        members=(member,),
        operated=given.spec.operated(),
        name_is_derived=given.spec.name_is_derived,
        verdict=verdict,
    )


def known(
    spec: ServiceSpec,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> Deployment | None:
    """Return the deployment of a spec as an earlier run, an image or cloche.lock knows it.

    Nothing runs, and its files may be missing.
    """
    from cloche.pipeline import before_run

    given = asked.of(
        spec, directory, settings, progress=progress, environment=environment, run_model=True
    )
    store = composition.store(settings)
    kept = lock_file.Known.of(directory, spec.service_name, given.key, store)
    before = verdicts.known(given, settings)
    found = _recall(store, given.key, before) or kept.deployment
    if found is None and before is not None:
        making = _making(given, settings, progress, environment)
        found = before_run.deployment(making, given.snapshot, before)
    return found


def write_lock(
    spec: ServiceSpec,
    deployment: Deployment,
    *,
    directory: Path,
    settings: Settings,
    progress: Progress,
    target: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Path:
    """Write what is known of a prepared deployment to cloche.lock, and return the file.

    `target` is the place in a cluster that the spec is for. Raises ClocheError `lock.unwritable`.
    """
    given = asked.of(
        spec, directory, settings, progress=progress, environment=environment, run_model=True
    )
    entry = lock_file.entry_of(deployment, spec.model, target)
    return lock_file.write(directory, given.key, entry, composition.store(settings))


def _making(
    given: Asked, settings: Settings, progress: Progress, environment: Mapping[str, str]
) -> Making:
    """Return what makes the deployment of a spec."""
    from cloche.pipeline.making import Making

    store = composition.store(settings)
    locked = partial(
        lock,
        store=store,
        progress=progress,
        environment=environment,
        pytorch_index=settings.environments_pytorch_index,
    )
    software = Software(settings, progress)
    return Making(given.spec, given.example, given.labels, store, software, locked)


def golden(
    deployment: Deployment, example: Path, *, settings: Settings, progress: Progress
) -> Golden:
    """Return a golden request for a deployment that exists, from an example in a file.

    Raises ClocheError as `prepare` does for an example.
    """
    from cloche.verification import examination, spec_example

    store, member, repository = composition.store(settings), deployment.main, deployment.repository
    given = spec_example.keep(example, member.facts, repository, store)
    model = Software(settings, progress).reference_run(
        member, repository, store, deployment.served.sandbox
    )
    limit = deployment.operated.start_limit
    examined = examination.examine(member, repository.main, given, model, store, timeout=limit)
    return examined.golden(repository.main, store)


def _recall(store: Store, key: str, before: verdicts.Kept | None) -> Deployment | None:
    """Return a remembered deployment if its bytes are still in the store.

    One that went by what came with an image is not remembered where that no longer counts.
    """
    import msgspec

    data = store.recall("prepared", key)
    if data is None:
        return None
    try:
        deployment = artifacts.decode(Deployment, data)
    except msgspec.ValidationError:  # an earlier state of this version wrote it
        return None
    if not verdicts.holds(deployment, before):
        return None
    if not all(store.use(digest) for digest in _digests(deployment)):
        return None
    return deployment if store.whole(deployment.repository.digest) else None


def _digests(deployment: Deployment) -> Iterator[str]:
    """Yield the digests of requests, answers, and packages that were built for a deployment."""
    if deployment.example is not None:
        yield deployment.example.digest
    if deployment.golden is not None:
        yield from (body.digest for body in deployment.golden.bodies())
    for member in deployment.members:
        if member.lock is not None:
            yield from (wheel.digest for wheel in member.lock.built)
