"""Whether a driver runs a version of CUDA, and a GPU a release: NVIDIA's rules, each with a source.

A driver runs every CUDA up to its own, and newer ones of the same major version (minor-version
compatibility, with less for kernels that are compiled while they run). Older drivers of some
branches run it through the package cuda-compat in the image, on data-centre GPUs alone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cloche.nvidia.releases import capability_of
from cloche.nvidia.versions import Capability, Cuda, Driver

MINOR = "https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"
FORWARD = "https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html"
NOTES = "https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/"
IMAGES = "NVIDIA_REQUIRE_CUDA of the images nvidia/cuda:13.0.2 and nvidia/cuda:13.3.0"

MINIMUM = {
    11: Driver(450, 80, 2, "450.80.02"),
    12: Driver(525, 60, 13, "525.60.13"),
    13: Driver(580, 65, 6, "580.65.06"),
}
"""The oldest driver for each major version of CUDA: the first data-centre release of its branch."""
OWN = {
    Cuda(11, 7): 515, Cuda(11, 8): 520, Cuda(12, 1): 530, Cuda(12, 2): 535, Cuda(12, 3): 545,
    Cuda(12, 4): 550, Cuda(12, 5): 555, Cuda(12, 6): 560, Cuda(12, 8): 570, Cuda(12, 9): 575,
    Cuda(13, 0): 580, Cuda(13, 1): 590, Cuda(13, 2): 595, Cuda(13, 3): 610, Cuda(13, 4): 615,
}  # fmt: skip
"""The branch of the driver that comes with a version of CUDA, from the sources of `releases`."""
BRANCHES = (
    384, 390, 396, 410, 415, 418, 430, 435, 440, 450, 455, 460, 465, 470, 495, 510, 515, 520, 525,
    530, 535, 545, 550, 555, 560, 565, 570, 575, 580, 590, 595, 610, 615,
)  # fmt: skip
"""Branches of drivers for Linux that a node may have, the oldest first."""


@dataclass(frozen=True, slots=True)
class _Forward:
    """Branches older than the minimum that cuda-compat lets run some versions of CUDA."""

    first: Cuda
    last: Cuda
    branches: frozenset[int]
    source: str


_FORWARD = (
    _Forward(Cuda(12, 1), Cuda(12, 3), frozenset({450, 470, 510}), NOTES + "rel-23-12.html"),
    _Forward(Cuda(12, 6), Cuda(12, 8), frozenset({470}), NOTES + "rel-24-10.html"),
    # What both images say; those between them were not looked at.
    _Forward(Cuda(13, 0), Cuda(13, 4), frozenset({535, 550, 565, 570}), IMAGES),
)


class Verdict(enum.StrEnum):
    """Whether a node can run an image."""

    NATIVE = "native"
    FORWARD_COMPATIBLE = "forward-compatible"
    """Through cuda-compat, on a data-centre GPU."""
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Something is not said; it is tried."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, why, and where the rule is written."""

    verdict: Verdict
    why: str
    """A clause: `driver 470.57.02 is older than 525.60.13, which CUDA 12.6 needs`."""
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Software:
    """What an image brings for GPUs; None is unknown."""

    cuda: Cuda | None = None
    triton: str | None = None
    """The release of its Triton: `26.07`."""

    @property
    def capability(self) -> Capability | None:
        """Return the least compute capability that it is built for."""
        return capability_of(self.triton)

    @property
    def minimum(self) -> Driver | None:
        """Return the oldest driver that runs it natively."""
        return None if self.cuda is None else MINIMUM.get(self.cuda.major)

    @property
    def forward(self) -> frozenset[int]:
        """Return the older branches that run it on data-centre GPUs."""
        found = _forward(self.cuda)
        return frozenset() if found is None else found.branches

    def __str__(self) -> str:
        """Return it in words: `CUDA 13.3 (Triton 26.07)`."""
        cuda = "an unknown version of CUDA" if self.cuda is None else f"CUDA {self.cuda}"
        return cuda if self.triton is None else f"{cuda} (Triton {self.triton})"


def judge(
    software: Software,
    driver: Driver | None,
    capability: Capability | None,
    *,
    data_centre: bool | None,
) -> Judgement:
    """Return whether a machine runs an image, by its driver and its GPU; None is unknown."""
    least = software.capability
    if capability is not None and least is not None and capability < least:
        why = f"its GPU has compute capability {capability}, and {software} needs {least}"
        return Judgement(Verdict.REFUSED, why, NOTES)
    if driver is None:
        return Judgement(Verdict.UNKNOWN, "no label says which driver it has")
    minimum = software.minimum
    if minimum is None:
        return Judgement(Verdict.UNKNOWN, f"it is not known which driver {software} needs")
    if not driver.is_before(minimum):
        return Judgement(Verdict.NATIVE, _runs(software.cuda, driver), MINOR)
    return _older(software, driver, minimum, data_centre)


def _runs(cuda: Cuda | None, driver: Driver) -> str:
    own = None if cuda is None else OWN.get(cuda)
    how = ", by minor-version compatibility" if own is not None and driver.branch < own else ""
    return f"driver {driver} runs CUDA {cuda}{how}"


def _older(
    software: Software, driver: Driver, minimum: Driver, data_centre: bool | None
) -> Judgement:
    """Return whether a driver that is too old to run an image by itself can run it all the same."""
    old = f"driver {driver} is older than {minimum}, which CUDA {software.cuda} needs"
    found = _forward(software.cuda)
    if found is None or driver.branch not in found.branches:
        return Judgement(Verdict.REFUSED, old, MINOR)
    if data_centre is None:
        why = f"{old}, and no label (nvidia.com/gpu.mode) says whether cuda-compat runs there"
        return Judgement(Verdict.UNKNOWN, why, FORWARD)
    if not data_centre:
        why = f"{old}; cuda-compat runs on data-centre GPUs alone"
        return Judgement(Verdict.REFUSED, why, FORWARD)
    why = f"driver R{driver.branch} runs CUDA {software.cuda} through the image's cuda-compat"
    return Judgement(Verdict.FORWARD_COMPATIBLE, why, found.source)


def _forward(cuda: Cuda | None) -> _Forward | None:
    if cuda is None:
        return None
    return next((each for each in _FORWARD if each.first <= cuda <= each.last), None)
