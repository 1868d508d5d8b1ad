"""Versions as NVIDIA writes them: of drivers, of CUDA, and the compute capability of a GPU."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

_DRIVER = re.compile(r"(\d{3,4})\.(\d{1,3})(?:\.(\d{1,3}))?")
_PAIR = re.compile(r"(\d{1,2})\.(\d{1,2})(?:\.\d+)*")


class Driver(NamedTuple):
    """A version of the driver: `550.107.02`; `branch` is what NVIDIA calls R550."""

    branch: int
    minor: int = 0
    revision: int = 0
    text: str = ""
    """As it was written; zeros in front belong to it."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the version that a text is; None for one of another form."""
        found = _DRIVER.fullmatch(text)
        if found is None:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3] or 0), text)

    def is_before(self, other: Driver) -> bool:
        """Return whether it is an earlier version."""
        return self[:3] < other[:3]

    def __str__(self) -> str:
        """Return the version as it was written: `580.95.05`."""
        return self.text or ".".join(map(str, self[:3]))


class Cuda(NamedTuple):
    """A version of CUDA: `12.6`."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the version that a text (`12.6.3`) begins with; None for one of another form."""
        found = _PAIR.fullmatch(text or "")
        return None if found is None else cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """Return it as in `CUDA 12.6`."""
        return f"{self.major}.{self.minor}"


class Capability(NamedTuple):
    """The compute capability of a GPU: what it can execute."""

    major: int
    minor: int

    def __str__(self) -> str:
        """Return it as NVIDIA writes it: `7.5`."""
        return f"{self.major}.{self.minor}"
