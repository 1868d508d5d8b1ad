"""What the labels of a node say of its GPUs, as NVIDIA's GPU feature discovery writes them.

https://github.com/NVIDIA/k8s-device-plugin/blob/main/docs/gpu-feature-discovery/README.md
A label that is missing or of another form says nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts.service import WHOLE_GPU
from cloche.nvidia import Capability, Driver

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVER_LABELS = ("nvidia.com/cuda.driver-version", "nvidia.com/cuda.driver")
"""The labels with the branch of the driver begin so: the newer ones, and those from before them."""
MODE = f"{WHOLE_GPU}.mode"
_REVISIONS = dict(zip(DRIVER_LABELS, ("revision", "rev"), strict=True))
_MIB = 2**20
_SHARED = ".shared"
"""The end of a resource that the device plugin names so because it is shared."""


class Sharing(enum.StrEnum):
    """How several pods share one GPU."""

    NONE = "none"
    TIME_SLICING = "time-slicing"
    """Each in turn, and all in one memory."""
    MPS = "mps"
    """At once, each with a part of the memory."""


@dataclass(frozen=True, slots=True)
class GpuLabels:
    """What is said of the GPUs of a node; None is unknown."""

    driver: Driver | None = None
    capability: Capability | None = None
    product: str | None = None
    data_centre: bool | None = None
    """Whether it is a GPU that computes only, and has no display."""
    odd: tuple[str, ...] = ()
    """Labels of another form, as `KEY=VALUE`."""


def parse(labels: Mapping[str, str]) -> GpuLabels:
    """Return what labels say."""
    odd: list[str] = []
    return GpuLabels(
        driver=_driver(labels, odd),
        capability=_capability(labels, odd),
        product=labels.get(f"{WHOLE_GPU}.product") or None,
        data_centre={"compute": True, "graphics": False, "display": False}.get(
            labels.get(MODE, "")
        ),
        odd=tuple(odd),
    )


def memory(labels: Mapping[str, str], resource: str) -> int | None:
    """Return the bytes that one pod finds on one GPU, or slice, of a resource."""
    unshared = resource.removesuffix(_SHARED)
    size = _number(labels, f"{unshared}.memory", [])
    if size is None:
        return None
    parts = _number(labels, f"{unshared}.replicas", []) or 1
    return size * _MIB // (parts if sharing(labels, resource) is Sharing.MPS else 1)


def sharing(labels: Mapping[str, str], resource: str) -> Sharing | None:
    """Return how the GPUs of a resource are shared; None where nothing says it."""
    unshared = resource.removesuffix(_SHARED)
    said = labels.get(f"{unshared}.sharing-strategy")
    if said in set(Sharing):
        return Sharing(said)
    shared = unshared != resource or labels.get(f"{unshared}.product", "").endswith("-SHARED")
    return Sharing.TIME_SLICING if shared else None


def _driver(labels: Mapping[str, str], odd: list[str]) -> Driver | None:
    """Return the driver; a whole version that can be read goes before its parts."""
    whole = f"{DRIVER_LABELS[0]}.full"
    if whole in labels:
        found = Driver.parse(labels[whole])
        if found is not None:
            return found
        odd.append(f"{whole}={labels[whole]}")
    for family in DRIVER_LABELS:
        keys = [f"{family}.{part}" for part in ("major", "minor", _REVISIONS[family])]
        parts = [labels[key] for key in keys if labels.get(key)]
        if not parts:
            continue
        found = Driver.parse(".".join(parts))
        if found is not None:
            return found
        odd += [f"{key}={labels[key]}" for key in keys if labels.get(key)]
    return None


def _capability(labels: Mapping[str, str], odd: list[str]) -> Capability | None:
    major, minor = (
        _number(labels, f"{WHOLE_GPU}.compute.{part}", odd) for part in ("major", "minor")
    )
    return None if major is None or minor is None else Capability(major, minor)


def _number(labels: Mapping[str, str], key: str, odd: list[str]) -> int | None:
    text = labels.get(key)
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    odd.append(f"{key}={text}")
    return None
