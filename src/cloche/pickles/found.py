"""What a scan has found so far; readers of containers and pickles add to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.pickles import limits
from cloche.pickles.allowed import is_allowed
from cloche.pickles.scan import Name, Scan, shown
from cloche.pickles.streams import TooLarge, Unresolved
from cloche.pickles.torch_files import TorchFound
from cloche.pickles.values import type_of

if TYPE_CHECKING:
    from cloche.pickles.streams import Unreadable
    from cloche.pickles.values import Global, Value


class Found:
    """Names, findings and facts of one file."""

    def __init__(self) -> None:
        self.names: dict[Name, None] = {}
        self.findings: dict[Finding, None] = {}
        self.versions: dict[str, set[str]] = {}
        self.pythons: set[tuple[str, ...]] = set()
        self.torch = TorchFound()
        self.pickles = 0
        self.made: set[str] = set()
        """The types of what the pickles make that a loader returns."""
        self.recognised = False
        """Whether anything in it was of a known kind."""
        self._decompressed = 0

    def name(self, found: Global, place: str, *, own: bool = False) -> None:
        """Note a name; `own` says that it is one of the archive's own, which nothing imports."""
        if len(self.names) >= limits.MOST_NAMES:
            raise TooLarge(f"It imports more than {limits.MOST_NAMES} names.")
        allowed = own or is_allowed(found.module, found.name)
        name = Name(shown(found.module), shown(found.name), shown(place), allowed)
        self.names[name] = None

    def finding(self, code: str, what: str, place: str, hint: str | None = None) -> None:
        """Note a finding, once."""
        if len(self.findings) < limits.MOST_NAMES:
            self.findings[Finding(Severity.WARNING, code, what, place, hint)] = None

    def unreadable(self, problem: Unreadable, place: str) -> None:
        """Note that something could not be read or resolved."""
        if isinstance(problem, TooLarge):
            self.finding("pickle.toolarge", problem.what, place)
        elif isinstance(problem, Unresolved):
            self.finding("pickle.unresolved", problem.what, place)
        else:
            self.finding("pickle.unreadable", problem.what, place)

    def note_version(self, of: str, version: str) -> None:
        """Note a version that is recorded in the file; what is none is left out."""
        if len(version) <= limits.LONGEST_VERSION and version.isprintable():
            self.versions.setdefault(of, set()).add(version)

    def note_made(self, value: Value) -> None:
        """Note what a pickle makes, as far as it is known."""
        made = type_of(value)
        if made is not None and len(self.made) < limits.MOST_NAMES:
            self.made.add(shown(made))

    def decompressed(self, size: int) -> None:
        """Count what came out of compressed parts; raises TooLarge."""
        self._decompressed += size
        if self._decompressed > limits.DECOMPRESSED:
            raise TooLarge(
                f"Its compressed parts become larger than {limits.DECOMPRESSED // 2**30} GiB."
            )

    def apart(self) -> Found:
        """Return a place for what may not count; see `add`."""
        other = Found()
        other.torch.script = self.torch.script
        return other

    def add(self, other: Found) -> None:
        """Take over everything that was noted apart."""
        self.names |= other.names
        self.findings |= other.findings
        self.pythons |= other.pythons
        self.pickles += other.pickles
        self.made |= other.made
        self.torch.take(other.torch)
        for of, versions in other.versions.items():
            self.versions.setdefault(of, set()).update(versions)

    def scan(self) -> Scan:
        """Return it as a value."""
        return Scan(
            names=tuple(self.names),
            problems=tuple(
                replace(found, what=shown(found.what), where=shown(found.where or ""))
                for found in self.findings
            ),
            pickles=self.pickles,
            made=next(iter(self.made)) if len(self.made) == 1 else None,
            versions={of: tuple(sorted(found)) for of, found in sorted(self.versions.items())},
            pythons=tuple(sorted(self.pythons)),
            torch=self.torch.facts(),
        )
