"""The releases of the libraries that a model of Hugging Face is served with.

A configuration records the release that saved it. Releases of transformers up to 4.40 need a
tokenizers without wheels for current Pythons, or numpy 1; the format of such folders has stayed the
same, so a current release loads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from cloche.artifacts import Finding, Severity
from cloche.formats.pytorch.inspection import TESTED as PYTORCH

if TYPE_CHECKING:
    from collections.abc import Mapping

TESTED = {
    "torch": PYTORCH["torch"],
    "transformers": "5.24.0",
    "sentence-transformers": "6.2.0",
}
"""The newest releases that were tried here."""
_OLDEST = Version("4.44")
"""The first release of transformers that is tried as it is recorded."""
_CODE = "inspection.transformers.requirements"


def requirements(recorded: Mapping[str, str | None]) -> tuple[tuple[str, ...], Finding]:
    """Return what a model needs; `recorded` has the releases that saved it, by package.

    With `sentence-transformers` in it the model is one of that library.
    """
    transformers = _version(recorded["transformers"])
    kept = transformers is not None and transformers >= _OLDEST
    versions = dict(TESTED)
    if kept:
        known = {name: version for name, text in recorded.items() if (version := _version(text))}
        versions |= {name: str(version) for name, version in known.items()}
    lines = tuple(f"{name}=={versions[name]}" for name in ("torch", *recorded))
    if transformers is None:
        said = "the newest that were tested, as it records no release"
    elif kept:
        said = "it records the release of transformers"
    else:
        said = f"it records transformers {transformers}, which no served Python has"
    what = f"The model is served with {', '.join(lines)}: {said}."
    hint = "Write `requirements:` in cloche.yaml for others."
    return lines, Finding(Severity.NOTE, _CODE, what, hint=hint)


def _version(text: str | None) -> Version | None:
    """Return a release on the index; a development version counts as the release it leads to."""
    try:
        version = Version(text or "")
    except InvalidVersion:
        return None
    return Version(version.base_version) if version.is_devrelease else Version(version.public)
