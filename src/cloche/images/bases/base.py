"""The image that a service's layers lie on, and what it holds.

What a base holds is read from its labels and environment: those of NVIDIA's containers, or Cloche's
own. What NVIDIA's do not say stands in a table by their release; what neither says is unknown, and
nothing is guessed from a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError
from cloche.images import addresses
from cloche.images.bases import ngc
from cloche.images.sources import reading
from cloche.images.sources.remote import RemoteBlob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.images.image import Blob, Platform
    from cloche.images.sources.reading import ReadImage

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
TRITON_LABEL = "cloche.base.triton"
PYTHONS_LABEL = "cloche.base.pythons"
CUDA_LABEL = "cloche.base.cuda"
GLIBC_LABEL = "cloche.base.glibc"
STUBS_LABEL = "cloche.base.stubs"
PYTHON_BACKENDS_LABEL = "cloche.base.python_backends"
NETWORK_REASON_LABEL = "cloche.base.network.reason"


@dataclass(frozen=True, slots=True)
class BaseSoftware:
    """What a base says that it holds; None and an empty tuple are unknown."""

    triton: str | None
    """The release: `26.07`."""
    version: str | None
    """The version of that release: `2.62.0`."""
    pythons: tuple[str, ...]
    """The Pythons that it has, each with a stub of its server: `3.12`."""
    cuda: str | None
    glibc: str | None = None
    """The version of its C library: `2.36`."""
    stubs: tuple[str, ...] = ()
    """The Pythons that it has a stub for, so that an image may bring them."""
    python_backends: tuple[str, ...] = ()
    """The backends that run in Python there, beside the one of that name."""
    untrusted: str | None = None
    """Why only trusted networks may reach a server on it."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base image for one platform."""

    config: Mapping[str, Any]
    layers: tuple[Blob, ...]
    platform: Platform
    software: BaseSoftware
    annotations: Mapping[str, str]
    """What an image on it says of it: its name and digest, as far as they are known."""

    def repositories(self, host: str) -> dict[str, str]:
        """Return which repository of a registry has each layer, by digest; empty for another."""
        remote = (layer for layer in self.layers if isinstance(layer, RemoteBlob))
        return {
            layer.descriptor.digest: layer.name for layer in remote if layer.registry.host == host
        }


def nothing(platform: Platform) -> Base:
    """Return the base of an image that holds files and runs nothing."""
    config = {
        "os": platform.os,
        "architecture": platform.architecture,
        **({"variant": platform.variant} if platform.variant else {}),
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    return Base(config, (), platform, software(config), {})


def read(text: str, platform: Platform) -> Base:
    """Return the base of a path for a platform; raises ClocheError `image.…`."""
    address = addresses.local(text)
    return of(reading.read(address.path, platform, name=address.name))


def of(found: ReadImage) -> Base:
    """Return an image as a base."""
    return Base(
        found.config, found.layers, found.platform, software(found.config), _annotations(found)
    )


def software(config: Mapping[str, Any]) -> BaseSoftware:
    """Return what the labels and the environment of an image say that it holds."""
    container = config.get("config") or {}
    labels = container.get("Labels") or {}
    environment = dict(entry.partition("=")[::2] for entry in container.get("Env") or [])
    release = ngc.known(environment.get("NVIDIA_TRITON_SERVER_VERSION"))
    pythons = tuple(labels.get(PYTHONS_LABEL, "").split())
    return BaseSoftware(
        triton=labels.get(TRITON_LABEL) or environment.get("NVIDIA_TRITON_SERVER_VERSION"),
        version=labels.get("com.nvidia.tritonserver.version")
        or environment.get("TRITON_SERVER_VERSION"),
        pythons=pythons or release.pythons,
        cuda=labels.get(CUDA_LABEL) or environment.get("CUDA_VERSION"),
        glibc=labels.get(GLIBC_LABEL) or release.glibc,
        stubs=tuple(labels.get(STUBS_LABEL, "").split()),
        python_backends=tuple(labels.get(PYTHON_BACKENDS_LABEL, "").split()),
        untrusted=labels.get(NETWORK_REASON_LABEL) or release.insecure,
    )


def require_server(base: Base, where: str) -> None:
    """Raise ClocheError `image.base.server` for a base that does not say that it has Triton."""
    if base.software.triton is None and base.software.version is None:
        raise ClocheError(
            "image.base.server",
            "The base does not say that it holds Triton.",
            where=where,
            hint="Take one of NVIDIA's, nvcr.io/nvidia/tritonserver, or give yours the label"
            f" {TRITON_LABEL} with the release that it holds.",
        )


def _annotations(found: ReadImage) -> dict[str, str]:
    # A bare tag says nothing where the name is missing.
    name = found.name if found.name and re.search(r"[:/@]", found.name) else None
    known = {BASE_NAME: name, BASE_DIGEST: found.digest}
    return {key: value for key, value in known.items() if value}
