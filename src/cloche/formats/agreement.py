"""Whether the places where a model lists its packages agree.

Tools write the same packages into several files (`requirements.txt`, `conda.yaml`). When a person
then changes one of them, nobody can tell which of two pins the model was trained with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.utils import canonicalize_name

from cloche.errors import ClocheError

_EXACT = ("==", "===")


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement, and the file that has it."""

    text: str
    where: str

    def __str__(self) -> str:
        written = self.text.partition("  # ")[2].removeprefix(f"{self.where}: ") or self.text
        return f"{written} ({self.where})"


def merged(lines: Iterable[Line], python: str) -> tuple[str, ...]:
    """Return each requirement once, in order, for a Python version (`3.11`).

    A line that says no more than an earlier one is left out; options stay.
    """
    kept: dict[str, None] = {}
    known: dict[str, list[Requirement]] = defaultdict(list)
    for line in lines:
        requirement = parsed(line.text)
        if requirement is None:
            kept[line.text] = None
        elif applies(requirement, python):
            earlier = known[canonicalize_name(requirement.name)]
            if not any(_implies(other, requirement) for other in earlier):
                kept[line.text] = None
            earlier.append(requirement)
    return tuple(kept)


def disagreements(lines: Iterable[Line], python: str) -> Iterator[ClocheError]:
    """Yield an error for each package that two lines pin to different versions.

    Its code is `inspection.requirements.disagree`, and it has both lines.
    """
    known: dict[str, list[tuple[Line, Requirement]]] = defaultdict(list)
    for line in lines:
        requirement = parsed(line.text)
        if requirement is None or not applies(requirement, python):
            continue
        earlier = known[canonicalize_name(requirement.name)]
        first = next((one for one, other in earlier if _conflict(other, requirement)), None)
        if first is not None:
            yield ClocheError(
                "inspection.requirements.disagree",
                f"The model's files disagree on {requirement.name}: {first}, but {line}.",
                where=f"{first.where}, {line.where}" if first.where != line.where else line.where,
                hint="Keep the version that the model was trained with, and write it everywhere.",
            )
        earlier.append((line, requirement))


def parsed(line: str) -> Requirement | None:
    """Return the requirement of a line; None for an option and what only a tool understands."""
    try:
        return Requirement(line.partition("  # ")[0].partition(" --")[0].strip())
    except InvalidRequirement:
        return None


def applies(requirement: Requirement, python: str) -> bool:
    """Return whether a requirement is meant for a server: Linux, with this Python."""
    if requirement.marker is None:
        return True
    server = {
        "os_name": "posix", "platform_system": "Linux", "sys_platform": "linux",
        "python_version": python, "python_full_version": f"{python}.0",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    try:
        return requirement.marker.evaluate(server)
    except (ValueError, KeyError):  # a comparison that makes no sense: the resolver says so
        return True


def _conflict(first: Requirement, second: Requirement) -> bool:
    """Return whether two requirements of a package pin it to different versions."""
    if first.url or second.url:
        return bool(first.url and second.url and first.url != second.url)
    return _excludes(first.specifier, second.specifier) or _excludes(
        second.specifier, first.specifier
    )


def _excludes(pinned: SpecifierSet, other: SpecifierSet) -> bool:
    """Return whether the versions that one side is pinned to are none of the other's."""
    return any(
        not _meets(pin, clause) for pin in pinned if pin.operator in _EXACT for clause in other
    )


def _meets(pin: Specifier, clause: Specifier) -> bool:
    """Return whether a pinned version (`==1.7.2`, `==1.7.*`) can satisfy a clause."""
    version = pin.version.removesuffix(".*")
    if clause.operator in _EXACT:
        # Of a prefix and a version the longer one decides, and 2.1.0+cpu is a 2.1.0.
        return _contains(pin, clause.version.removesuffix(".*")) or _contains(clause, version)
    # Whether a range leaves some version of `==1.7.*` is for the resolver to say.
    return pin.version != version or _contains(clause, version)


def _contains(clause: Specifier, version: str) -> bool:
    try:
        return clause.contains(version, prereleases=True)
    except (ValueError, InvalidSpecifier):
        return True  # `===` with a version of another kind: the resolver compares it as text


def _implies(earlier: Requirement, later: Requirement) -> bool:
    """Return whether an earlier requirement says all that a later one says."""
    if not later.extras <= earlier.extras or later.url:
        return False
    pinned = any(clause.operator in _EXACT for clause in earlier.specifier)
    exact = pinned and not any(clause.version.endswith(".*") for clause in earlier.specifier)
    return exact or bool(earlier.url) or earlier.specifier == later.specifier or not later.specifier
