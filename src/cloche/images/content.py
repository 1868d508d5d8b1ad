"""What an image adds to its base: the files of a service, its start, and what is said of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.images import golden
from cloche.images.layers import Layer, LayerFile, divide
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import ContainerStart, Deployment
    from cloche.images.image import Attachment
    from cloche.store import Store

MODELS = "models"
"""The model repository, from the root of the image."""
ENTRYPOINT = "cloche/entrypoint"
_OCI = "org.opencontainers.image"


@dataclass(frozen=True, slots=True)
class Content:
    """The files and settings of one service."""

    service: str
    repository: tuple[LayerFile, ...]
    entrypoint: LayerFile
    environment: Mapping[str, str]
    ports: tuple[int, ...]
    annotations: Mapping[str, str]
    golden: tuple[LayerFile, ...] = ()
    """The golden request; none where it does not travel."""
    attached: tuple[Attachment, ...] = ()
    """What goes with the image and is no part of its digest."""

    def layers(self, free: int) -> tuple[Layer, ...]:
        """Return the layers, at most `free`, the most shared one first.

        The entrypoint has a layer of its own: it is the same for all services, and stays with the
        server where the model comes from an image volume. The golden request lies uppermost, so
        that another example moves no weights.
        """
        entrypoint = Layer("entrypoint", (self.entrypoint,))
        asked = [Layer("golden request", self.golden)] if self.golden else []
        return (entrypoint, *divide(self.repository, free - 1 - len(asked)), *asked)


def content_of(deployment: Deployment, start: ContainerStart, store: Store) -> Content:
    """Return what the image of a deployment holds; what is made for it is then in the store.

    A deployment without a golden request has an image without one. Raises ClocheError
    `image.environment` for a model that needs an environment of its own.
    """
    _require_no_environment(deployment)
    script, asked = start.script, deployment.golden
    return Content(
        service=deployment.service,
        repository=tuple(
            LayerFile(f"{MODELS}/{file.path}", file.size, file.digest)
            for file in deployment.repository.files
        ),
        entrypoint=LayerFile(ENTRYPOINT, len(script), store.add_bytes(script), executable=True),
        environment=start.environment,
        ports=start.ports,
        annotations=_annotations(deployment),
        golden=golden.layer_files(deployment, store),
        attached=(golden.answers(asked, store),) if asked is not None else (),
    )


def _require_no_environment(deployment: Deployment) -> None:
    asking = [member.name for member in deployment.repository.members if member.lock_digest]
    if asking:
        raise ClocheError(
            "image.environment",
            f"{' and '.join(asking)} runs in a Python environment of its own, which images do not"
            " hold yet: that comes with the next step.",
            where=deployment.main.snapshot.pinned,
            hint="`cloche deploy` serves it on this machine. Models in ONNX, or converted to it,"
            " have an image now.",
        )


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
        "cloche.version": __version__,
        "cloche.service": deployment.service,
        "cloche.model.reference": reference,
        "cloche.model.format": str(snapshot.format),
        "cloche.model.digest": snapshot.digest,
        "cloche.conversion.digest": conversion.digest if conversion else None,
        "cloche.repository.digest": deployment.repository.digest,
    }
    return {name: value for name, value in known.items() if value}
