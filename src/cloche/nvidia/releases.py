"""The releases of NVIDIA's Triton containers: their CUDA, and the GPUs that they are built for.

What is not here was not looked at. Sources, each read for its rows in November 2026:
the release notes, https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/, and
the table of the containers with vLLM in docs/introduction/compatibility.md of
https://github.com/triton-inference-server/server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloche.nvidia.versions import Capability, Cuda

_NOTES = "the release notes of Triton {}"
_TABLE = "docs/introduction/compatibility.md of triton-inference-server/server, {}"
_RELEASE = re.compile(r"(\d\d\.\d\d)(\.\d+)?")
_CAPABILITIES = (
    ("22.05", "24.10", Capability(6, 0), "the release notes of Triton 22.05 to 24.10"),
    ("25.01", "26.10", Capability(7, 5), "the release notes of Triton 25.01 to 26.10"),
)
"""First and last release whose notes say which GPUs it is built for."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the containers."""

    name: str
    """`26.07`"""
    cuda: Cuda
    source: str
    """Where its CUDA is said."""

    @property
    def capability(self) -> Capability | None:
        """Return the least compute capability that it is built for, if that was looked up."""
        return capability_of(self.name)


def known(name: str | None) -> Release | None:
    """Return a release by what an image calls it (`26.07`, `26.07.1`); None if not looked at."""
    found = _RELEASE.fullmatch(name or "")
    return None if found is None else _BY_NAME.get(found[1])


def capability_of(name: str | None) -> Capability | None:
    """Return the least compute capability of a release; None where it is not known."""
    found = _RELEASE.fullmatch(name or "")
    if found is None:
        return None
    release = found[1]  # two digits each: their order is that of the text
    for first, last, capability, _ in _CAPABILITIES:
        if first <= release <= last:
            return capability
    return None


def _of(source: str, rows: dict[str, str]) -> tuple[Release, ...]:
    """Return releases of one source, from `CUDA: its releases`."""
    return tuple(
        Release(name, version, source.format(name))
        for cuda, names in rows.items()
        if (version := Cuda.parse(cuda)) is not None
        for name in names.split()
    )


_READ = (
    *_of(_NOTES, {
        "11.7": "22.05 22.06", "11.8": "22.10 22.11 22.12",
        "12.1": "23.03 23.04 23.05 23.06 23.07", "12.2": "23.08 23.09", "12.3": "23.12",
        "12.6": "24.10", "12.8": "25.01 25.03", "12.9": "25.04",
        "13.0": "25.08 25.10", "13.1": "26.02", "13.3": "26.06 26.07", "13.4": "26.08 26.09 26.10",
    }),
    *_of(_TABLE, {
        "12.4": "24.04 24.05", "12.5": "24.06 24.07", "12.6": "24.08 24.09 24.11 24.12",
        "12.8": "25.02", "12.9": "25.05 25.06 25.07", "13.0": "25.09 25.11",
        "13.1": "25.12 26.01", "13.2": "26.03 26.04 26.05",
    }),
)  # fmt: skip
RELEASES = tuple(sorted(_READ, key=lambda release: release.name))
"""From the oldest to the newest."""
_BY_NAME = {release.name: release for release in RELEASES}
