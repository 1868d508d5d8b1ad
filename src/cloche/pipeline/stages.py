"""The stages of a model that run nothing of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche import composition
from cloche.artifacts import (
    Finding,
    Lock,
    ModelFacts,
    ModelOptions,
    ModelRepository,
    ModelSnapshot,
    Severity,
)
from cloche.formats import declared_inputs
from cloche.pipeline import trust
from cloche.settings import PYTORCH_INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.spec import ServiceSpec
    from cloche.store import Store

_NO_OPTIONS = ModelOptions()
_NEEDS_GPU = "repository.gpu"
"""The code of what inspection says of a model that loads on a GPU alone."""


def resolve(
    reference: str,
    *,
    directory: Path,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
    trust: bool = False,
) -> ModelSnapshot:
    """Resolve a reference; the snapshot's files are then in the store, under its digest.

    Relative paths start from `directory`. Sources read addresses and credentials from
    `environment`. `trust` lets a model from anywhere bring code. Raises UsageError for a reference
    that cannot be right, UnavailableError for a registry that does not answer, and ClocheError for
    everything else.
    """
    from cloche import sources

    context = sources.ResolveContext(directory, environment, store, progress, trust)
    return sources.resolve(reference, composition.sources(), context)


def facts(
    snapshot: ModelSnapshot,
    store: Store,
    options: ModelOptions = _NO_OPTIONS,
    *,
    service: str | None = None,
) -> ModelFacts:
    """Return what inspection finds in a stored model; `service` chooses one of several models."""
    form = composition.formats()[snapshot.format]
    known = form.inspect(snapshot, store.tree_path(snapshot.digest), options, service=service)
    known = declared_inputs.applied(known, options, snapshot.pinned)
    more = (*_alternative(snapshot), *trust.findings(snapshot, known, options, store))
    return replace(known, findings=(*known.findings, *more)) if more else known


def _alternative(snapshot: ModelSnapshot) -> tuple[Finding, ...]:
    """Return what is to be said of other weights beside those that are served."""
    other = snapshot.metadata.alternative
    if other is None:
        return ()
    name = other.removeprefix(f"{snapshot.pinned}/")
    what = f"{name} is there, too, and is not what is served."
    hint = f"To serve it, name it: {other}"
    return (Finding(Severity.NOTE, "inspection.alternative", what, hint=hint),)


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


def lock(
    known: ModelFacts,
    *,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
    pytorch_index: str = PYTORCH_INDEX,
) -> Lock | None:
    """Return a model's resolved dependencies; None if it has none."""
    if not known.requirements or not known.python:
        return None
    from cloche import environments

    requirements = known.requirements
    loading = known.loading or known.convertible
    if loading is not None and not loading.declared:
        requirements += composition.converters()[loading.framework].requirements
    needs_gpu = any(finding.code == _NEEDS_GPU for finding in known.findings)
    return environments.lock(
        requirements,
        known.python,
        store=store,
        progress=progress,
        environment=environment,
        pytorch_index=None if needs_gpu else pytorch_index,
    )
