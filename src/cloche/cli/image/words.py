"""What the command line of `cloche image build` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one command, as they were given."""

    model: str | None
    file: Path | None
    name: str | None
    example: Path | None
    base: str | None
    output: Path | None
    tag: str | None
    push: bool
    platform: str | None
    split: bool
    no_golden: bool

    @property
    def spec_file(self) -> Path | None:
        """Return the cloche.yaml that is read, which is where no model is named."""
        return None if self.model is not None else (self.file or Path("cloche.yaml")).absolute()
