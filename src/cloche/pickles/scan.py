"""What a scan tells of a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloche.artifacts import Finding, Severity


@dataclass(frozen=True, slots=True)
class Name:
    """A name that loading the file imports, and where it stands.

    `place` is the file's path, then the members of archives, then `#2` for the second pickle of a
    stream: `model.pt/archive/data.pkl`.
    """

    module: str
    name: str
    place: str
    allowed: bool
    """Whether exactly this name is on the allow-list."""

    def __str__(self) -> str:
        """Return the qualified name."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """What a file of torch tells beside its names."""

    devices: tuple[str, ...] = ()
    """Where its storages were: `cpu`, `cuda:0`."""
    keys: tuple[str, ...] = ()
    """The first keys of its outermost dictionary."""
    prefix: str | None = None
    """`module.` (data parallel) or `_orig_mod.` (compiled), if all parameters have it."""
    checkpoint: bool = False
    """Whether it is a training's checkpoint, with the parameters under a key of their own."""
    script: bool = False
    """Whether it is TorchScript, a program that libtorch reads without Python."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one file imports when it is loaded, and what about it is not known to be safe.

    A scan informs and never proves: what it says nothing of may still be unsafe.
    """

    names: tuple[Name, ...] = ()
    problems: tuple[Finding, ...] = ()
    """What could not be read or resolved, and code that needs no name, such as a Lambda layer."""
    pickles: int = 0
    """How many pickles were read to their end."""
    made: str | None = None
    """The type of what loading it returns: `dict`, `collections.OrderedDict`, `net.Net`; None where
    that is not known, or it holds several."""
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Recorded versions by library: `scikit-learn` in full, only the major one of `numpy`."""
    pythons: tuple[tuple[str, ...], ...] = ()
    """For each kind of bytecode in it, the Python versions that may have written it."""
    torch: TorchFacts | None = None

    @property
    def outside(self) -> tuple[Name, ...]:
        """Return the names that are not on the allow-list."""
        return tuple(name for name in self.names if not name.allowed)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return everything about it that is not known to be safe."""
        return (*(_outside(name) for name in self.outside), *self.problems)

    @property
    def main(self) -> tuple[str, ...]:
        """Return the names of `__main__`: of the script that wrote the file, not of a package."""
        return tuple(sorted({name.name for name in self.names if name.module == "__main__"}))

    @property
    def cloudpickle(self) -> bool:
        """Return whether functions or classes are in it by value, written by cloudpickle."""
        return any(name.module.partition(".")[0] == "cloudpickle" for name in self.names)


def shown(text: str) -> str:
    """Return text that can be printed: names in a file may hold anything."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if text.isprintable() else "".join(escaped)


def _outside(name: Name) -> Finding:
    return Finding(
        Severity.WARNING,
        "pickle.outside",
        f"Loading it imports {name}, which is not known to be safe.",
        name.place,
        "Load it only if you trust who made it.",
    )
