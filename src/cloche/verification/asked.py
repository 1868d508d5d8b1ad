"""A model to run directly, the requests that it is asked, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cloche.artifacts import RequestOrigin, TensorSpec

Tensors = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Variant:
    """Another way to run a model that should give the same answer."""

    description: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """A model to run: a script of `reference/scripts/`, its interpreter, and the model's path."""

    script: str
    python: Path
    path: Path
    description: dict[str, Any]
    """The script's description of the model; empty if the model describes itself."""
    variants: tuple[Variant, ...] = ()
    """Ways to run it that show how far its own answers differ."""
    name: str = ""
    """What the user calls it, for errors; its path is one of the cache."""
    confined_to: Path | None = None
    """All files of the model, if it is code of the model: that sees nothing else of the user."""
    network: bool = False
    """Whether that code needs the network, as long as the sandbox leaves it."""
    sandbox: Sandbox = field(default_factory=Sandbox)

    @property
    def closes_files(self) -> bool:
        """Return whether it runs in a sandbox that has no file of the user."""
        return self.confined_to is not None and self.sandbox.closes_files

    def named_in(self, text: str) -> str:
        """Return a text with the model's path replaced by its name."""
        return text.replace(str(self.path), self.name) if self.name else text


@dataclass(frozen=True, slots=True)
class Request:
    """A request in the model's own shapes, and where it comes from."""

    tensors: Tensors
    origin: RequestOrigin
    rows: int = 0
    """Size of its batch axis, to run each row alone too; 0 if requests are not joined."""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to the request with this index."""

    request: int
    outputs: Tensors
    fits: bool
    """Whether it has the declared shapes."""
    values: int
    """Which of its values are finite: `scripts/job.py`."""
    alone: Tensors | None = None
    """The same rows, each run alone and joined again."""
    permuted: Tensors | None = None
    """The same rows, run in reverse order and put back in order."""
    rows_error: str | None = None
    """Why a row alone was refused, although all rows together were not."""

    @property
    def shows_values(self) -> bool:
        """Return whether each output has a finite value, so that comparing it proves something."""
        return self.values > 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The error that the model raised for the request with this index."""

    request: int
    error: str
    kind: str
    """`input`, `model` (no request could avoid it), `memory`, `time` or `crash`."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What came of some requests."""

    accepted: Accepted | None
    """The best answer; None if no request was accepted."""
    refused: tuple[Refused, ...] = ()
    inputs: tuple[TensorSpec, ...] | None = None
    """The model's inputs as its runtime loaded them; None if it does not say."""
    outputs: tuple[TensorSpec, ...] | None = None
