"""What a bare file's environment needs: as the spec says, as the file records, else as tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding
from cloche.formats import unloaded
from cloche.formats.unloaded import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.artifacts import ModelOptions

TESTED = {"scikit-learn": "1.9.1", "xgboost": "3.4.1", "lightgbm": "4.7.0", "skops": "0.16.0"}
"""The newest releases that were tried here, for files that name none."""
_FORMATS_OF_NUMPY = {"2": "numpy>=2"}
"""numpy 2 reads the arrays of numpy 1, and not the other way round."""


def requirements(
    packages: Iterable[str], recorded: Mapping[str, str], options: ModelOptions, python: str
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return requirement lines for the packages of a file, and where the versions come from.

    `recorded` are the releases that the file itself names.
    """
    if options.requirements:
        return options.requirements, ()
    newest = TESTED if python == PYTHON else {}
    lines = [
        f"{name}=={version}" if (version := recorded.get(name) or newest.get(name)) else name
        for name in packages
    ]
    told = [name for name in packages if name in recorded]
    others = [name for name in packages if name not in recorded]
    said = []
    if told:
        said.append(f"the file records the release of {', '.join(told)}")
    if others:
        said.append(f"{', '.join(others)} as newest tested")
    noted = unloaded.assumed(lines, "; ".join(said))
    if (major := recorded.get("numpy")) in _FORMATS_OF_NUMPY:
        lines.append(_FORMATS_OF_NUMPY[major])
    return tuple(lines), (noted,)
