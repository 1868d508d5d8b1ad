"""Inlining the files that a model's requirements refer to.

MLflow writes `-c constraints.txt` beside a file of constraints; people write `-r more.txt`. These
files are in the snapshot, and their lines are part of the recorded requirements: a constraint
becomes `-c NAME<2`, a requirement becomes itself.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

_REFERENCE = re.compile(
    r"^(?:-(?P<short>[rc])|--(?P<long>requirement|constraint))[ =]?\s*(?P<file>.+)$"
)
_DEPTH = 5


def inline(lines: tuple[str, ...], folder: Path, *, depth: int = 0) -> tuple[str, ...]:
    """Return requirement lines with references to files replaced by the files' lines.

    Raises ClocheError `inspection.requirements` for a file that is missing or outside `folder`.
    """
    written: list[str] = []
    for line in lines:
        match = _REFERENCE.match(line)
        if match is None:
            written.append(line)
            continue
        inner = inline(_read(match["file"].strip(), folder, depth), folder, depth=depth + 1)
        constrains = match["short"] == "c" or match["long"] == "constraint"
        written += [f"-c {each}" if constrains and each[0] != "-" else each for each in inner]
    return tuple(written)


def _read(name: str, folder: Path, depth: int) -> tuple[str, ...]:
    path = folder / name
    plain = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
    if not plain or not path.is_file() or depth >= _DEPTH:
        raise ClocheError(
            "inspection.requirements",
            f"The model's requirements refer to {name!r}, which is not in its folder.",
            where="requirements.txt",
            hint="Log the model again with pip_requirements as a list of packages.",
        )
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return tuple(line for line in stripped if line)
