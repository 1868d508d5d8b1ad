"""The recorded requirements of a model, checked line by line before uv gets them.

Lines may be requirements (PEP 508) with their digests, constraints (`-c NAME<2`: inlined by the
inspection), and the options of pip that uv has too: package indexes, `--pre`, `--no-binary NAME`,
`--only-binary NAME`. Lines with a file or folder of the machine that the model was made on, and
lines without a digest (a branch in a version control system), are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.environments.uv import without_credentials
from cloche.errors import ClocheError, ErrorGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

_INDEX = re.compile(
    r"^(?:(?:--index-url|-i|--extra-index-url|--find-links|-f)[ =]\s*\S+|--no-index)$"
)
_BUILD = re.compile(r"^--(?P<which>no|only)-binary[ =]\s*\S+$")
_CONSTRAINT = re.compile(r"^(?:-c|--constraint)[ =]\s*(.+)$")
_DIGEST = re.compile(r"\s--hash[ =](sha256:[0-9a-f]{64})\b")
_PRERELEASES = "--pre"
_IGNORED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^--require-hashes$"), ""),
    (re.compile(r"^--prefer-binary$"), ""),
    (re.compile(r"^--trusted-host\b"),
     "which hosts are trusted is for this machine to say, in UV_INSECURE_HOST"),
    (re.compile(r"^--(use-feature|use-pep517|no-use-pep517|no-build-isolation|use-deprecated)\b"),
     "it changes how pip works, and uv installs the model's packages"),
)  # fmt: skip
"""Options that change nothing in a lock; without a reason, because a lock does so anyway."""
_KNOWN = r"-i|-f|-c|--(index-url|extra-index-url|find-links|constraint|(no|only)-binary)"
_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(^|@\s*)(git|hg|svn|bzr)\+"),
     "has no digest, as version control has no fixed archive"),
    (re.compile(r"^(--find-links|-f|-i|--index-url|--extra-index-url)[ =](?!\s*https?://)"),
     "names a folder of the machine that the model was made on"),
    (re.compile(r"^(\.{0,2}/|~|[A-Za-z]:\\|-e|--editable)|@\s*file:|^file:"
                r"|^[^@;]*\.(whl|tar\.gz|zip)(\s*;|$)"),
     "names a file of the machine that the model was made on"),
    (re.compile(rf"^(?![A-Za-z0-9]|({_KNOWN})[ =]|--(pre|no-index)$)"),
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
    wheels_only: frozenset[str] = frozenset()
    """Packages that are never built from source (`--only-binary`); `:all:` is all of them."""
    prereleases: bool = False
    """Whether versions that are not final may be chosen (`--pre`)."""
    digests: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The digests that the lines allow (`--hash`), by the package's name."""

    @property
    def from_source(self) -> frozenset[str]:
        """Return the packages that are to be built from source, but `:all:`."""
        names = (line.replace("=", " ").split()[-1] for line in self.builds)
        return frozenset(name_of(name) for name in names if not name.startswith(":"))

    @property
    def options(self) -> tuple[str, ...]:
        """Return the options that a lock contains, without credentials."""
        return (*(without_credentials(line) for line in self.indexes), *self.builds)


def ignored(line: str) -> str | None:
    """Return why an option of pip is left out, empty if a lock fulfils it; None if it counts."""
    return next((why for pattern, why in _IGNORED if pattern.search(line)), None)


def parse(lines: tuple[str, ...]) -> Requirements:
    """Sort requirement lines by kind; raises one error for all that cannot be locked."""
    filled = [line.strip() for line in lines if line.strip() and ignored(line.strip()) is None]
    _check(filled)
    packages, constraints, indexes, builds = [], [], [], []
    digests: dict[str, frozenset[str]] = {}
    wheels_only: set[str] = set()
    for line in filled:
        if _INDEX.match(line):
            indexes.append(line)
        elif match := _BUILD.match(line):
            name = line.replace("=", " ").split()[-1]
            if match["which"] == "no":
                builds.append(line)
            else:  # for uv it is the rule; an option for some packages would lift it for the rest
                wheels_only.add(name if name.startswith(":") else name_of(name))
        elif match := _CONSTRAINT.match(line):
            constraints.append(match[1].strip())
        elif line != _PRERELEASES:
            found = frozenset(_DIGEST.findall(line))
            if found:
                digests[name_of(line)] = digests.get(name_of(line), frozenset()) | found
            packages.append(re.sub(r"\s+--hash[ =]\S+", "", line))
    return Requirements(
        tuple(packages),
        tuple(constraints),
        tuple(indexes),
        tuple(builds),
        frozenset(wheels_only),
        _PRERELEASES in filled,
        digests,
    )


def name_of(line: str) -> str:
    """Return the normalised name of the package of a line (PEP 503)."""
    match = re.match(r"[A-Za-z0-9._-]+", line)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def _check(lines: list[str]) -> None:
    errors = []
    for line in lines:
        reasons = [why for pattern, why in _REFUSED if pattern.search(line)]
        errors += [_line_error(line, why) for why in reasons[:1]]
    what = "The model's requirements cannot be locked."
    ErrorGroup("environment.requirements", what, errors).raise_if_any()


def _line_error(line: str, why: str) -> ClocheError:
    return ClocheError(
        "environment.requirement",
        f"The requirement {without_credentials(line)!r} {why}.",
        where="requirements.txt",
        hint="Name released packages there, and put own code into the model's folder (in MLflow:"
        " log it again with pip_requirements and code_paths).",
    )
