"""From a deployment to what a cluster runs: its image in the registry, and the template of pods."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import artifacts, composition
from cloche.artifacts import Finding, Origin, Severity
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.images.bases import ngc
from cloche.pipeline import cluster, cluster_tags, registry_reach
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import Deployment, Finding, Gpu, KubernetesPlace, Reason
    from cloche.clients.oci.reference import ImageReference
    from cloche.images.bases.base import Base
    from cloche.pipeline.cluster import Opened
    from cloche.pipeline.gpu_release import GpuRelease
    from cloche.pipeline.image import Built, Registries
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec
    from cloche.targets.kubernetes.image_volumes import Choice
    from cloche.targets.kubernetes.target import KubernetesTarget

_HEX = 40
_MISSES_IMAGE = re.compile(r"admission webhook .*(not found|unknown|no such|404)", re.I | re.S)


def prepared(
    spec: ServiceSpec,
    directory: Path,
    opened: Opened,
    *,
    push: bool = True,
    run_model: bool = True,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str],
) -> tuple[Deployment, tuple[Finding, ...]]:
    """Return the deployment that a spec describes at a place, and what there is to know of it.

    Its image is then in the registry there, with `push`; what the place can never serve is refused
    before. Without `run_model` the model runs only where nothing tells what it would. Raises as
    `cloche.pipeline.prepare` and `package` do.
    """
    from cloche.pipeline import cluster_verdicts, gpu_release
    from cloche.targets import Desired

    deployment, unread = cluster_verdicts.deployment(
        spec.at(opened.place.name), directory, opened, run_model=run_model,
        settings=settings, progress=progress, environment=environment,
    )  # fmt: skip
    operated = cluster.operated_at(deployment, opened.place)
    opened.target.admit(Desired(deployment.service, operated=operated, asked=deployment.repository))
    release = gpu_release.choose(spec, opened.place, opened.cluster, environment)
    made = package(deployment, opened, release, push=push, settings=settings, progress=progress)
    return made, (*unread, *release.findings, *gpu_release.idle(deployment))


def package(
    deployment: Deployment,
    opened: Opened,
    release: GpuRelease,
    *,
    push: bool,
    settings: Settings,
    progress: Progress,
) -> Deployment:
    """Return a deployment with its image, on the base of a release, and the template of its pods.

    With `push` image and golden answers are then in the place's registry, under a tag of their own;
    without it the image is made and goes nowhere. Raises ClocheError `image.…`, `registry.…`,
    `target.kubernetes.weights`, and what the cluster refuses of its pods.
    """
    from cloche.targets.kubernetes import image_volumes
    from cloche.targets.kubernetes.objects import placing

    place, connections, gpu = opened.place, opened.connections, deployment.served.resources.gpu
    if push:
        registry_reach.require_answer(place, connections)
    base = _base(place, release.base, gpu, connections, settings=settings, progress=progress)
    where = placing.where(gpu, place.pods, base.platform.architecture)
    choice = image_volumes.chosen(opened.cluster, place.weights, where)
    packing = _Packing(
        deployment, place, connections, base, choice,
        release.reasons, cluster_tags.prefix(opened), settings,
    )  # fmt: skip
    if push:
        packing.require_admitted(opened.target)
    return packing.done(packing.push(progress) if push else packing.make(progress))


def for_others(
    deployment: Deployment,
    place: KubernetesPlace,
    connections: Registries,
    *,
    settings: Settings,
    progress: Progress,
) -> Deployment:
    """Return a deployment as `package` does, its image pushed, for a cluster that is not asked.

    Raises ClocheError `image.…` and `registry.…`.
    """
    from cloche.artifacts import WeightsFrom
    from cloche.targets.kubernetes.image_volumes import Choice

    registry_reach.require_answer(place, connections)
    gpu = deployment.served.resources.gpu
    asked = ngc.asked_for(deployment.served.server.release)
    base = _base(place, asked, gpu, connections, settings=settings, progress=progress)
    is_volume = place.weights is WeightsFrom.VOLUME
    choice = Choice(True, Origin.SPEC, "The target asks for it.") if is_volume else None
    tags = cluster_tags.EXPORTED
    packing = _Packing(deployment, place, connections, base, choice, (), tags, settings)
    return packing.done(packing.push(progress))


@dataclass(frozen=True, slots=True)
class _Packing:
    """A deployment on its way to pods."""

    deployment: Deployment
    place: KubernetesPlace
    connections: Registries
    base: Base
    choice: Choice | None
    """What brings the weights; None for the default."""
    reasons: tuple[Reason, ...]
    """Why the base is what it is."""
    tags: str
    """How the tags of its images begin."""
    settings: Settings

    @property
    def split(self) -> bool:
        """Return whether server and models have an image each."""
        return self.choice is not None and self.choice.volume

    @property
    def reference(self) -> ImageReference:
        """Return the tag that keeps an image: what goes into it, so that no other has the same."""
        deployment, base = self.deployment, self.base
        diff_ids = base.config["rootfs"]["diff_ids"]
        golden = deployment.golden.requests if deployment.golden is not None else ()
        platform = str(base.platform)
        inputs = [__version__, deployment.digest, platform, diff_ids, golden, self.split]
        mark = artifacts.digest_of(artifacts.encode(inputs)).removeprefix("sha256:")[:_HEX]
        name = f"{self.place.registry}/{deployment.service}"
        return references.parse(f"{name}:{self.tags}{mark}")

    def require_admitted(self, target: KubernetesTarget) -> None:
        """Raise ClocheError if the cluster refuses the pods, before a new image is sent.

        A webhook that misses the image itself is asked again when it is there.
        """
        from cloche.targets import Desired

        if self._is_there():
            return
        image = f"{self.reference.host}/{self.reference.name}@sha256:{'0' * 64}"
        asked = self.rendered(image, image if self.split else None)
        desired = Desired(
            asked.service, operated=asked.operated, asked=asked.repository, asked_pod=asked.pod
        )
        try:
            target.admit(desired)
            target.require_room(desired)
        except ClocheError as error:
            if not _MISSES_IMAGE.search(str(error)):
                raise

    def _is_there(self) -> bool:
        """Return whether the registry has the image; one that does not say has none."""
        try:
            return self.connections.has(str(self.reference))
        except ClocheError:
            return False

    def make(self, progress: Progress) -> Built:
        """Make the image, which goes nowhere."""
        from cloche.pipeline import image as images

        return images.image_of(
            self.deployment, self.base,
            split=self.split, settings=self.settings, progress=progress,
        )  # fmt: skip

    def push(self, progress: Progress) -> Built:
        """Bring the image into the registry of the place."""
        from cloche.pipeline import image as images

        return images.push_image(
            self.deployment, [self.base], self.reference, self.connections,
            split=self.split, settings=self.settings, progress=progress,
        )  # fmt: skip

    def done(self, built: Built) -> Deployment:
        """Return the deployment with the image that was built, and the template of its pods."""
        server = self.pinned(built.server) if built.server is not None else None
        return self.rendered(self.pinned(built), server)

    def pinned(self, built: Built) -> str:
        """Return the one image that was built by its digest."""
        (image,), reference = built.images, self.reference
        return f"{reference.host}/{reference.name}@{image.descriptor.digest}"

    def rendered(self, image: str, server: str | None) -> Deployment:
        """Return the deployment with its image and the template of its pods.

        `server` is the image of the server, where it has one of its own.
        """
        from cloche.pipeline import gpu_release
        from cloche.pipeline import image as images
        from cloche.targets.kubernetes.objects import pod, weights

        place, choice = self.place, self.choice
        operated = cluster.operated_at(self.deployment, place)
        found = replace(_warned(self.deployment, self.base), image=image, operated=operated)
        start = images.container_start(found, self.base, composition.store(self.settings))
        source = weights.Source()
        if choice is not None:
            source = weights.Source(server, choice.origin, choice.why)
        architecture = self.base.platform.architecture
        software = gpu_release.software_of(self.base)
        template = pod.render(
            found, start, architecture, place.pods, software=software, source=source
        )
        return replace(found, pod=template.pod, pod_reasons=(*self.reasons, *template.reasons))


def _warned(deployment: Deployment, base: Base) -> Deployment:
    """Return a deployment that says which security fixes the server of its base lacks."""
    why, repository = base.software.untrusted, deployment.repository
    if why is None:
        return deployment
    finding = Finding(Severity.WARNING, "image.network", f"{why}.")
    findings = (*repository.findings, finding)
    return replace(deployment, repository=replace(repository, findings=findings))


def _base(
    place: KubernetesPlace,
    default: str,
    gpu: Gpu | None,
    connections: Registries,
    *,
    settings: Settings,
    progress: Progress,
) -> Base:
    """Return the base of a place, which has CUDA where a GPU is asked for.

    Its registry is asked as the user's own environment says.
    """
    from cloche.images import platforms
    from cloche.images.bases import base as bases
    from cloche.pipeline import base_image, gpu_release

    text = place.base or default
    try:
        found = base_image.chosen(
            text, platforms.here(), connections, settings=settings, progress=progress
        )
    except ClocheError as error:
        if text == base_image.NAME:
            raise
        hint = f"{error.hint or ''} `base:` of the target names another, `cpu` is Cloche's own."
        raise error.with_(hint=hint.strip()) from error
    bases.require_server(found, text)
    if gpu is not None:
        gpu_release.require_cuda(found, text)
    return found
