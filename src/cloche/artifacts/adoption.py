"""What was made by hand in a cluster: a Deployment, and the Service before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Front:
    """A Service that was made by hand, through which a service is reached.

    Of it only the selector is ever changed.
    """

    name: str
    selector: Mapping[str, str]
    """What chose its pods before: it leads to the adopted Deployment."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A Deployment that was made by hand and is a revision, as it was found."""

    deployment: str
    """Its name."""
    uid: str
    template: str
    """Digest of what its pods were, which is not changed."""
    replicas: int
    images: tuple[str, ...] = field(default_factory=tuple)
