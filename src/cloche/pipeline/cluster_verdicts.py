"""What runs told of a model, from images in the registry of a place in a cluster.

Whoever deployed the model there has left it beside the image. A plan goes by it wherever it lies;
a deploy only where the settings trust the registry.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from cloche import composition, pipeline
from cloche.artifacts import Finding, Severity
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.pipeline import asked, cluster_tags, image_verdicts, told, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cloche.artifacts import Deployment
    from cloche.clients.oci.reference import ImageReference
    from cloche.pipeline.asked import Asked
    from cloche.pipeline.cluster import Opened
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec
    from cloche.store import Store

_MOST = 16
"""Images that are looked at."""


def deployment(
    spec: ServiceSpec,
    directory: Path,
    opened: Opened,
    *,
    run_model: bool,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str],
) -> tuple[Deployment, tuple[Finding, ...]]:
    """Return the deployment of a spec that is for a place, and what could not be read there.

    Without `run_model` nothing of the model runs where something tells all of it: an earlier run
    here, or an image. Raises as `cloche.pipeline.prepare`.
    """
    store = composition.store(settings)
    with store.working():
        given = asked.of(
            spec, directory, settings, progress=progress, environment=environment, run_model=True
        )
        findings: tuple[Finding, ...] = ()
        if not run_model or verdicts.is_trusted(str(_repository(given, opened)), settings):
            findings = _bring(given, opened, settings, progress)
        if not run_model:
            planned = pipeline.foreseen(
                spec, directory=directory, settings=settings, progress=progress,
                environment=environment,
            )  # fmt: skip
            if _is_all(planned, given, settings, store):
                return planned, findings
        prepared = pipeline.prepare(
            spec, directory=directory, settings=settings, progress=progress,
            environment=environment,
        )  # fmt: skip
        return prepared, findings


def _is_all(planned: Deployment, given: Asked, settings: Settings, store: Store) -> bool:
    """Return whether a deployment is all known, with the files that its image is made of.

    What a stranger's lock names is not downloaded.
    """
    if planned.undetermined or planned.golden is None:
        return False
    if planned.installed_locks and not verdicts.holds(planned, verdicts.known(given, settings)):
        return False
    bodies = planned.golden.bodies()
    return store.whole(planned.repository.digest) and all(store.use(each.digest) for each in bodies)


# ── from the registry ─────────────────────────────────────────────────────────────────────────


def _bring(
    given: Asked, opened: Opened, settings: Settings, progress: Progress
) -> tuple[Finding, ...]:
    """Have this machine know what images at a place tell; what cannot be read is a finding."""
    kept, store = verdicts.known(given, settings), composition.store(settings)
    if kept is not None and not told.lacks_files(kept, store):
        return ()
    findings: list[Finding] = []
    try:
        for image in islice(_images(given, opened), _MOST):
            taken = image_verdicts.take_remote(
                image, given.snapshot.digest, opened.connections, settings, progress
            )
            findings += taken.findings
            if any(each.asked == given.verdict for each in taken.verdicts):
                break
    except ClocheError as error:
        what = f"What runs told of the model is not read from the registry: {error.what}"
        findings.append(Finding(Severity.NOTE, "verdict.unread", what, where=error.where))
    return tuple(findings)


def _images(given: Asked, opened: Opened) -> Iterator[ImageReference]:
    """Yield images that may tell: that of a revision which asked the same, else all of revisions.

    Several places may share a registry, so the service may be new at this one.
    """
    for revision in reversed(opened.state.revisions(given.spec.service_name)):
        recorded = revision.deployment
        if recorded.image is not None and recorded.verdict == given.verdict:
            yield references.parse(recorded.image)
            return
    repository = _repository(given, opened)
    registry = opened.connections.at(repository.host)
    if registry.is_new(repository.name):
        return
    for tag in registry.tags(repository.name):
        if tag.startswith((cluster_tags.REVISION, cluster_tags.EXPORTED)):
            yield references.parse(f"{repository.host}/{repository.name}:{tag}")


def _repository(given: Asked, opened: Opened) -> ImageReference:
    return references.parse(f"{opened.place.registry}/{given.spec.service_name}")
