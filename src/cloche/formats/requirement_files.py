"""Files of requirements in a model's folder.

MLflow writes `-c constraints.txt` beside a file of constraints; people write `-r more.txt`. These
files are in the snapshot, and their lines are part of the recorded requirements: a constraint
becomes `-c NAME<2`, a requirement becomes itself.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.environments.requirements import ignored
from cloche.environments.uv import without_credentials
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_REFERENCE = re.compile(
    r"^(?:-(?P<short>[rc])|--(?P<long>requirement|constraint))[ =]?\s*(?P<file>.+)$"
)
_DEPTH = 5


def lines_of(text: str) -> tuple[str, ...]:
    """Return the lines of a file of requirements, joined where they continue, without comments."""
    lines = text.replace("\r\n", "\n").replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return tuple(line for line in stripped if line)


def read(path: Path) -> tuple[str, ...]:
    """Return the lines of a file; raises FileNotFoundError."""
    # Notepad and PowerShell begin files with a mark of their encoding.
    return lines_of(path.read_text(encoding="utf-8-sig", errors="replace"))


def inline(
    lines: tuple[str, ...], folder: Path, *, where: str = "requirements.txt", depth: int = 0
) -> tuple[str, ...]:
    """Return requirement lines with references to files replaced by the files' lines.

    Raises ClocheError `inspection.requirements` for a file that is missing or outside `folder`.
    """
    written: list[str] = []
    for line in lines:
        match = _REFERENCE.match(line)
        if match is None:
            written.append(line)
            continue
        named = _read(match["file"].strip(), folder, depth, where)
        inner = inline(named, folder, where=where, depth=depth + 1)
        constrains = match["short"] == "c" or match["long"] == "constraint"
        written += [f"-c {each}" if constrains and each[0] != "-" else each for each in inner]
    return tuple(written)


def _read(name: str, folder: Path, depth: int, where: str) -> tuple[str, ...]:
    path = folder / name
    plain = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
    if not plain or depth >= _DEPTH or not _is_regular(path):
        raise ClocheError(
            "inspection.requirements",
            f"The model's requirements refer to {name!r}, which is not in its folder.",
            where=where,
            hint="Put the file there, or list its packages in its place.",
        )
    return read(path)


def _is_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def told_apart(lines: Iterable[str], where: str) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the lines that count, and a finding for what is left out of them.

    Left out are passwords in addresses, and options of pip that change nothing in a lock.
    """
    kept: list[str] = []
    findings: list[Finding] = []
    for line in lines:
        clean = without_credentials(line)
        if clean != line:
            findings.append(_password(clean, where))
        why = ignored(clean)
        if why is None:
            kept.append(clean)
        elif why:
            what = f"The option {clean!r} is not followed: {why}."
            findings.append(Finding(Severity.NOTE, "inspection.requirements.option", what, where))
    return tuple(kept), findings


def _password(line: str, where: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "inspection.requirements.password",
        f"The address in {line!r} was written with a name or password, which is not used.",
        where,
        "Give them to uv in ~/.netrc, or write ${NAME} in the address and set that variable.",
    )
