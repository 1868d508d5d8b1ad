"""How a server starts in a container."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SHARED_MEMORY = "CLOCHE_SHARED_MEMORY"
"""The variable with the least bytes of /dev/shm that a container needs; absent for none."""
TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
"""The variable that, with 0, has NVIDIA's libraries compute FP32 as FP32."""


@dataclass(frozen=True, slots=True)
class PythonStub:
    """A server's program for models on one version of Python."""

    path: str
    """From the root of an image that has it."""
    libraries: tuple[str, ...]
    """Where it looks for that Python's library: paths in the image."""


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
    stubs: Mapping[str, PythonStub] = field(default_factory=dict)
    """Where an image has the stub of a Python, if it says that it has it, by version: `3.12`."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file that a server puts into an image."""

    path: str
    """From the root of the image: `opt/tritonserver/bin/tritonserver`."""
    source: bytes | Path
    """Its bytes, or where they are."""
    executable: bool = False


@dataclass(frozen=True, slots=True)
class ServerPart:
    """Files of a server that change together."""

    what: str
    inputs: tuple[str, ...]
    """What the files follow from, beside the packages."""
    files: Callable[[Path], Iterable[ImageFile]]
    """Returns the files, from the folder of the unpacked packages."""
    sources: str | None = None
    """The folder in the image with their Python sources, if they have some."""


@dataclass(frozen=True, slots=True)
class ServerBase:
    """What a server needs of an image that Cloche makes for it."""

    requirements: str
    """A lock of the wheels that it comes from."""
    parts: tuple[ServerPart, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
