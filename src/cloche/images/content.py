"""What an image adds to its base: the files of a service, its start, and what is said of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cloche.images import golden, sbom, verdicts
from cloche.images.layering.layers import Layer, LayerFile, LayerLink, divide
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloche.artifacts import ContainerStart, Deployment, Finding
    from cloche.images.bases.base import Base
    from cloche.images.image import Attachment
    from cloche.images.layering.environment import Environment
    from cloche.images.layering.layers import MadeLayer
    from cloche.store import Store

MODELS = "models"
"""The model repository, from the root of the image."""
ENTRYPOINT = "cloche/entrypoint"
_OCI = "org.opencontainers.image"
_VERSION = "cloche.version"


@dataclass(frozen=True, slots=True)
class Content:
    """The files and settings of one service."""

    service: str
    repository: tuple[LayerFile, ...]
    entrypoint: LayerFile | None
    """What a container runs first; None for an image of models alone."""
    environment: Mapping[str, str]
    ports: tuple[int, ...]
    annotations: Mapping[str, str]
    links: tuple[LayerLink, ...] = ()
    """Links beside the repository's files."""
    environments: tuple[MadeLayer, ...] = ()
    """The environments of its models, which lie between the base and all that is the service's."""
    golden: tuple[LayerFile, ...] = ()
    """The golden request; none where it does not travel."""
    attached: tuple[Attachment, ...] = ()
    """What goes with the image and is no part of its digest."""
    bill: Callable[..., Attachment] | None = None
    """Its bill of materials, as `sbom.attachment` makes it for the digest of the image."""
    findings: tuple[Finding, ...] = ()
    """What is worth telling of how its environments are made."""

    def layers(self, free: int) -> tuple[Layer, ...]:
        """Return the layers on the environments, at most `free`, the most shared one first.

        The entrypoint has a layer of its own: it is the same for all services, and stays with the
        server where the model comes from an image volume. The golden request lies uppermost, so
        that another example moves no weights.
        """
        start = [Layer("entrypoint", (self.entrypoint,))] if self.entrypoint else []
        asked = [Layer("golden request", self.golden)] if self.golden else []
        rest = free - len(start) - len(asked)
        models = divide(self.repository, rest, self.links) if self.repository else ()
        return (*start, *models, *asked)

    def models_alone(self) -> Content:
        """Return what an image volume holds: models and configuration, and nothing that executes.

        Its layers are those of the whole image. The environment says what the server has to be
        told of these models.
        """
        bill = partial(self.bill, server=False) if self.bill else None
        return replace(self, environments=(), entrypoint=None, bill=bill)

    def server_alone(self) -> Content:
        """Return what runs models from an image volume: the same for all services of one lock."""
        kept = {name: said for name, said in self.annotations.items() if name == _VERSION}
        bill = partial(self.bill, models=False) if self.bill else None
        return replace(
            self, repository=(), links=(), golden=(), attached=(), environment={},
            annotations=kept, bill=bill,
        )  # fmt: skip


def content_of(
    deployment: Deployment,
    base: Base,
    start: ContainerStart,
    environments: Mapping[str, Environment],
    store: Store,
) -> Content:
    """Return what the image of a deployment holds; what is made for it is then in the store.

    `environments` has that of each lock, by the lock's digest. A deployment without a golden
    request has an image without one.
    """
    script, asked = start.script, deployment.golden
    repository = deployment.repository
    return Content(
        service=deployment.service,
        repository=tuple(
            LayerFile(f"{MODELS}/{file.path}", file.size, file.digest) for file in repository.files
        ),
        links=_links(deployment, start, environments),
        environments=_environments(environments),
        entrypoint=LayerFile(ENTRYPOINT, len(script), store.add_bytes(script), executable=True),
        environment=start.environment,
        ports=start.ports,
        annotations=_annotations(deployment),
        golden=golden.layer_files(deployment, store),
        attached=(
            *((golden.answers(asked, store),) if asked is not None else ()),
            *verdicts.attachments(deployment),
        ),
        bill=partial(sbom.attachment, deployment, base),
        findings=tuple(finding for each in environments.values() for finding in each.findings),
    )


def _links(
    deployment: Deployment, start: ContainerStart, environments: Mapping[str, Environment]
) -> tuple[LayerLink, ...]:
    """Return the links by which models find their environments.

    Models that only members call, such as the steps of an ensemble, have that of the main member.
    """
    repository = deployment.repository
    locks = {member.name: member.lock_digest for member in repository.members}
    asked = {name: locks.get(name) or repository.main.lock_digest for name in start.asking}
    return tuple(
        link
        for name, lock in asked.items()
        if lock
        for link in environments[lock].place.links(name)
    )


def _environments(environments: Mapping[str, Environment]) -> tuple[MadeLayer, ...]:
    """Return the layers of environments, each once: several may share a Python."""
    layers = (layer for each in environments.values() for layer in each.layers)
    return tuple({layer.descriptor.digest: layer for layer in layers}.values())


def _annotations(deployment: Deployment) -> dict[str, str]:
    """Return what is known of the model; nothing in it is of this machine."""
    snapshot = deployment.main.snapshot
    conversion = deployment.main.conversion
    # A model from a file was resolved to its absolute path, which says nothing elsewhere.
    reference = snapshot.pinned if snapshot.source != "files" else None
    known = {
        f"{_OCI}.title": deployment.service,
        f"{_OCI}.version": snapshot.version,
        f"{_OCI}.licenses": snapshot.metadata.tags.get("license"),
        _VERSION: __version__,
        "cloche.service": deployment.service,
        "cloche.model.reference": reference,
        "cloche.model.format": str(snapshot.format),
        "cloche.model.digest": snapshot.digest,
        "cloche.conversion.digest": conversion.digest if conversion else None,
        "cloche.repository.digest": deployment.repository.digest,
    }
    return {name: value for name, value in known.items() if value}
