"""How a server starts in a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContainerStart:
    """The program that a container runs first, and what it finds."""

    script: bytes
    """A script for `/bin/sh`, the same for all services; it replaces itself with the server."""
    environment: Mapping[str, str]
    """What it is told of one service."""
    ports: tuple[int, ...]
    """The ports on which the server listens."""
    asking: tuple[str, ...] = ()
    """The models that ask for the environment of their lock, in `environment` of their folder."""
