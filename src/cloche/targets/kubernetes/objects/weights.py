"""Where a pod's models come from: its own image, or an image volume beside that of the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Origin, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import ContainerStart, Deployment

VOLUME = "models"
_PATHS = ("models", "cloche/golden")
"""What the image of the models holds: the model repository, and the golden request."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the models of a pod come from."""

    server: str | None = None
    """The image of the server alone, where the models come as a volume."""
    origin: Origin = Origin.DEFAULT
    why: str = "It runs on every node, which pulls the layers of the server once anyway."

    @property
    def is_volume(self) -> bool:
        """Return whether they come as a volume."""
        return self.server is not None

    @property
    def reason(self) -> Reason:
        """Return the choice and its reason."""
        return Reason("pod.weights", "volume" if self.server else "image", self.origin, self.why)


def mounts(source: Source) -> list[dict[str, Any]]:
    """Return where the container finds them."""
    if not source.is_volume:
        return []
    return [
        {"name": VOLUME, "mountPath": f"/{path}", "subPath": path, "readOnly": True}
        for path in _PATHS
    ]


def volumes(deployment: Deployment, source: Source) -> list[dict[str, Any]]:
    """Return the volume of the models' image, by its digest."""
    if not source.is_volume:
        return []
    image = {"reference": deployment.image, "pullPolicy": "IfNotPresent"}
    return [{"name": VOLUME, "image": image}]


def environment(start: ContainerStart, source: Source) -> list[dict[str, str]]:
    """Return what the server has to be told of the models: their image's own says it to nobody."""
    given = start.environment if source.is_volume else {}
    return [{"name": name, "value": value} for name, value in given.items()]


def is_volume(template: Mapping[str, Any]) -> bool:
    """Return whether pods of a template mount the image of their models."""
    volumes = template["spec"].get("volumes") or ()
    return any(volume["name"] == VOLUME and "image" in volume for volume in volumes)
