"""From a deployment to the image that an engine on this machine starts its replicas from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche import composition
from cloche.artifacts import Finding, Runtime, Severity
from cloche.errors import ClocheError
from cloche.targets.local import replica_images, runtimes
from cloche.targets.local.replica_images import ReplicaImage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Deployment
    from cloche.clients.engine.engine import Engine
    from cloche.images.sources.reading import ReadImage
    from cloche.progress import Progress
    from cloche.settings import Settings


def engine(asked: Runtime | None, environment: Mapping[str, str]) -> Engine | None:
    """Return the engine whose containers are the replicas; None if they are processes.

    Raises ClocheError `engine.…` if it does not answer or has no network; where only the wheel is
    missing, that it does not run here, and what else would.
    """
    choice = runtimes.chosen(asked, composition.server())
    if choice.runtime is Runtime.PROCESS:
        return None
    from cloche.clients.engine import engine as engines

    try:
        found = engines.find(None, environment)
        found.require_network()
    except ClocheError as error:
        if choice.refused is None:
            raise
        hint = f"{choice.refused.hint} Docker or Podman would do, too: {error.what} {error.hint}"
        raise choice.refused.with_(hint=hint) from error
    return found


def findings(asked: Runtime | None, found: Engine | None) -> tuple[Finding, ...]:
    """Return what a plan tells of where the replicas run."""
    if found is None:
        return ()
    refused = runtimes.chosen(asked, composition.server()).refused
    why = "" if refused is None else f" {refused.what}"
    what = f"Replicas run as containers of {found.kind.capitalize()}.{why}"
    return (Finding(Severity.NOTE, "runtime.container", what),)


def release_findings(release: str | None) -> tuple[Finding, ...]:
    """Return what a plan tells of a release that is asked for, which this machine does not run.

    Raises UsageError `image.release` for one of which nothing is known.
    """
    from cloche.images.bases import ngc

    if release is None:
        return ()
    base, why = ngc.asked_for(release), ngc.known(release).insecure
    own = composition.server().release
    what = f"server.release is for images and clusters ({base}): replicas here run Triton {own}."
    said = Finding(Severity.NOTE, "server.release", what)
    return (said, Finding(Severity.WARNING, "image.network", f"{why}.")) if why else (said,)


def provide(
    deployment: Deployment,
    found: Engine,
    *,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str],
) -> None:
    """Make the image of a deployment on Cloche's own base, and have the engine hold it.

    What it holds is not loaded again. Raises ClocheError `image.…` and `engine.…`, and UsageError
    `image.platform.unknown` for an engine whose containers are not Linux.
    """
    from cloche.images import platforms
    from cloche.images.sources import reading
    from cloche.pipeline import base_image, image_run
    from cloche.pipeline import image as images

    platform = platforms.parse(found.platform)
    made = base_image.make(platform, environment, settings=settings, progress=progress)
    # Its golden request is asked from outside.
    built = images.image_of(
        replace(deployment, golden=None), base_image.as_base(made),
        settings=settings, progress=progress,
    ).images[0]  # fmt: skip
    image = reading.of(built, deployment.service)
    digest = built.descriptor.digest
    repository = f"localhost/cloche-{replica_images.home_mark(settings.home)}/{deployment.service}"
    name = f"{repository}:{digest.removeprefix('sha256:')[:12]}"
    if found.image(name) is None:
        image_run.load(image, name, found, progress)
    record = _record(deployment, image, name, found, settings)
    replica_images.save(settings.layout.containers, record)


def _record(
    deployment: Deployment, image: ReadImage, name: str, found: Engine, settings: Settings
) -> ReplicaImage:
    from cloche.pipeline import image_run

    repository, identity = deployment.repository, found.image(name)
    tree = composition.store(settings).tree_path(repository.digest)
    if identity is None or image.digest is None:
        what = f"{found.kind.capitalize()} loaded the image, and does not have it."
        raise ClocheError("engine.load", what, where=name, hint="Deploy again.", retriable=True)
    return ReplicaImage(
        service=deployment.service,
        repository=repository.digest,
        digest=image.digest,
        name=name,
        id=identity,
        layers={layer.descriptor.digest: layer.descriptor.size for layer in image.layers},
        ports=composition.servers()[repository.server].container(repository, tree).ports,
        shared_memory=image_run.shared_memory(image),
        kind=found.kind,
        program=found.program.path,
        environment=replica_images.variables(found.program.environment),
        platform=found.platform,
    )
