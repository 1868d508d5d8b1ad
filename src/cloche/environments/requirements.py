"""The recorded requirements of a model, checked line by line before uv gets them.

Lines may be requirements (PEP 508), constraints (`-c NAME<2`: inlined by the inspection), package
indexes and `--no-binary NAME`. Lines with a file or folder of the machine that the model was made
on, and lines without a digest (a branch in a version control system), are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloche.environments.uv import without_credentials
from cloche.errors import ClocheError, ErrorGroup

_INDEX = re.compile(r"^(?:--index-url|-i|--extra-index-url|--find-links|-f)[ =]\s*(\S+)$")
_NO_BINARY = re.compile(r"^--no-binary[ =]\s*(\S+)$")
_CONSTRAINT = re.compile(r"^(?:-c|--constraint)[ =]\s*(.+)$")
_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(^|@\s*)(git|hg|svn|bzr)\+"),
     "has no digest, as version control has no fixed archive"),
    (re.compile(r"^(--find-links|-f|-i|--index-url|--extra-index-url)[ =](?!\s*https?://)"),
     "names a folder of the machine that the model was made on"),
    (re.compile(r"^(\.{0,2}/|~|[A-Za-z]:\\|-e|--editable)|@\s*file:|^file:"
                r"|^[^@;]*\.(whl|tar\.gz|zip)(\s*;|$)"),
     "names a file of the machine that the model was made on"),
    (re.compile(r"^(?![A-Za-z0-9]|(-i|-f|-c|--(index-url|extra-index-url|find-links|constraint"
                r"|no-binary))[ =])"),
     "is not a requirement that can be locked"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Requirements:
    """The lines of a model's requirements by kind."""

    packages: tuple[str, ...]
    constraints: tuple[str, ...]
    indexes: tuple[str, ...]
    """Options that name package indexes, as recorded."""
    builds: tuple[str, ...]
    """`--no-binary` options; a source distribution is built only for their packages."""

    @property
    def options(self) -> tuple[str, ...]:
        """Return the options that a lock contains, without credentials."""
        return (*(without_credentials(line) for line in self.indexes), *self.builds)


def parse(lines: tuple[str, ...]) -> Requirements:
    """Sort requirement lines by kind; raises one error for all that cannot be locked."""
    filled = [line.strip() for line in lines if line.strip()]
    _check(filled)
    packages, constraints, indexes, builds = [], [], [], []
    for line in filled:
        if _INDEX.match(line):
            indexes.append(line)
        elif _NO_BINARY.match(line):
            builds.append(line)
        elif match := _CONSTRAINT.match(line):
            constraints.append(match[1].strip())
        else:
            packages.append(line)
    return Requirements(tuple(packages), tuple(constraints), tuple(indexes), tuple(builds))


def _check(lines: list[str]) -> None:
    errors = []
    for line in lines:
        reasons = [why for pattern, why in _REFUSED if pattern.search(line)]
        errors += [_line_error(line, why) for why in reasons[:1]]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        what = "The model's requirements cannot be locked."
        raise ErrorGroup("environment.requirements", what, errors)


def _line_error(line: str, why: str) -> ClocheError:
    return ClocheError(
        "environment.requirement",
        f"The requirement {without_credentials(line)!r} {why}.",
        where="requirements.txt",
        hint="Log the model with pip_requirements that name released packages, or put its own code"
        " into the model with code_paths.",
    )
