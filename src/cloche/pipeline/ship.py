"""A revision of one place in a cluster, taken to another: the same digests, other keys.

Neither the model registry nor a local cache is needed: what a revision is stands in the records of
the place, its image with the golden request and its answers in the registry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ContainerStart
from cloche.clients.oci import reference as references
from cloche.errors import UsageError
from cloche.pipeline import cluster, cluster_tags, image_copy
from cloche.pipeline import image as images
from cloche.refusals import unknown_revision, unknown_service
from cloche.targets import Desired
from cloche.targets.kubernetes.objects import gpus, pod, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Deployment, Operated, PodOptions, Revision
    from cloche.clients.oci.reference import ImageReference
    from cloche.pipeline.cluster import Opened
    from cloche.progress import Progress

_OWN = "CLOCHE_"
"""How the variables begin that an image has for its server."""
_ARCHITECTURE = "kubernetes.io/arch"


@dataclass(frozen=True, slots=True)
class Shipment:
    """A revision on its way to another place."""

    deployment: Deployment
    """As it will be there."""
    images: Mapping[str, ImageReference]
    """Where each of its images goes, under a tag of that place."""


def revision_of(origin: Opened, service: str, number: int | None) -> Revision:
    """Return a revision of a place, by default the live one.

    Raises NotFoundError `service.unknown` and `revision.unknown`, and UsageError `ship.nothing`.
    """
    stored = origin.state.service(service)
    if stored is None:
        raise unknown_service(service)
    wanted = number if number is not None else stored.record.live
    if wanted is None:
        what = f"No revision of {service} is live at {origin.place.name}."
        raise UsageError("ship.nothing", what, where=service, hint="Name one with --revision.")
    found = origin.state.revision(service, wanted)
    if found is not None and found.deployment.adopted is not None:
        raise UsageError(
            "ship.adopted",
            f"Revision {wanted} of {service} was adopted: Cloche has neither its image nor what it"
            " should answer.",
            where=service,
            hint="Deploy its model with Cloche first, and ship that revision.",
        )
    if found is None or found.deployment.pod is None:
        raise unknown_revision(service, wanted)
    return found


def prepare(origin: Opened, goal: Opened, revision: Revision, operated: Operated) -> Shipment:
    """Return what a revision is at another place, and change nothing.

    `operated` is how the service is operated there. Raises what `Target.admit` does: that place may
    not be able to run its release.
    """
    deployment = revision.deployment
    template: dict[str, Any] = deployment.pod or {}
    goes = {
        each: _place_of(each, goal, deployment.service)
        for each in sorted(pod.images_of(deployment.image, template))
    }
    moved = replace(
        deployment,
        image=_pinned(goes[deployment.image or ""], deployment.image or ""),
        operated=operated,
    )
    moved = replace(moved, operated=cluster.operated_at(moved, goal.place))
    environment = _environment(deployment.image or "", origin)
    rendered = _rendered(moved, goal.place.pods, template, goes, environment)
    desired = Desired(
        moved.service, operated=moved.operated, asked=moved.repository, asked_pod=rendered.pod
    )
    goal.target.admit(desired)
    goal.target.require_room(desired)
    return Shipment(replace(moved, pod=rendered.pod, pod_reasons=rendered.reasons), goes)


def carry(shipment: Shipment, goal: Opened, progress: Progress) -> None:
    """Copy the images with all that refers to them; raises ClocheError `image.…`, `registry.…`."""
    for image, target in shipment.images.items():
        source = references.parse(image)
        image_copy.copy(source, target, None, goal.connections, progress)


def _place_of(image: str, goal: Opened, service: str) -> ImageReference:
    tag = cluster_tags.tag_of(goal, image.partition("@")[2])
    return references.parse(f"{goal.place.registry}/{service}:{tag}")


def _pinned(target: ImageReference, image: str) -> str:
    return f"{target.host}/{target.name}@{image.partition('@')[2]}"


def _rendered(
    moved: Deployment,
    options: PodOptions,
    template: dict[str, Any],
    goes: Mapping[str, ImageReference],
    environment: Mapping[str, str],
) -> pod.Template:
    """Return the template of the pods with the keys of the other place."""
    (server,) = (
        each["image"] for each in template["spec"]["containers"] if each["name"] == pod.CONTAINER
    )
    is_volume = weights.is_volume(template)
    source = weights.Source(_pinned(goes[server], server)) if is_volume else weights.Source()
    return pod.render(
        moved, ContainerStart(b"", environment, ()),
        template["spec"]["nodeSelector"][_ARCHITECTURE], options,
        software=gpus.software_of(template), source=source,
    )  # fmt: skip


def _environment(image: str, origin: Opened) -> dict[str, str]:
    """Return what an image tells its server of the service."""
    config = images.read_image(image, None, origin.connections).config
    given = dict(each.split("=", 1) for each in config.get("config", {}).get("Env") or ())
    return {name: value for name, value in given.items() if name.startswith(_OWN)}
