"""The releases of the libraries that a model of Hugging Face is served with.

A folder records the releases that saved it. Early ones have no wheels for the Pythons that are
served, or need numpy 1; what is in such folders has stayed the same, so current ones load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from cloche.formats import unloaded
from cloche.formats.pytorch.inspection import TESTED as PYTORCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Finding

TESTED = {
    "torch": PYTORCH["torch"],
    "transformers": "5.24.0",
    "sentence-transformers": "6.2.0",
    "timm": PYTORCH["timm"],
    "scipy": "1.17.1",
}
"""The newest releases that were tried here."""
_OLDEST = {"transformers": Version("4.38"), "sentence-transformers": Version("2.7")}
"""The first releases that were tried with the newest PyTorch and numpy."""
_WITH_SCIPY = ("eomt", "mask2former", "maskformer", "oneformer", "videomt")
"""How kinds of models begin whose classes ask for SciPy when they are made."""


def beside(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the packages that the class of a model asks for beside transformers."""
    backbone = config.get("backbone_config")
    kinds = [each.get("model_type") for each in (config, backbone) if isinstance(each, dict)]
    timm = config.get("use_timm_backbone") or any(str(kind).startswith("timm_") for kind in kinds)
    scipy = str(config.get("model_type")).startswith(_WITH_SCIPY)
    return (*(("timm",) if timm else ()), *(("scipy",) if scipy else ()))


def requirements(
    recorded: Mapping[str, str | None], more: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], Finding]:
    """Return what a model needs; `recorded` has the releases that saved it, by package.

    With `sentence-transformers` in it the model is one of that library. `more` packages are taken
    as they were tested.
    """
    known = {name: version for name, text in recorded.items() if (version := _version(text))}
    kept = len(known) == len(recorded) and all(known[name] >= _OLDEST[name] for name in known)
    versions = {**TESTED, **(known if kept else {})}
    lines = tuple(f"{name}=={versions[name]}" for name in ("torch", *recorded, *more))
    if kept:
        said = "those that saved it, with the newest PyTorch that was tested"
    else:
        saved = ", ".join(f"{name} {version}" for name, version in known.items())
        said = "the newest that were tested, "
        said += f"as {saved} is too old for them" if known else "as it records none"
    return lines, unloaded.assumed(lines, said)


def _version(text: str | None) -> Version | None:
    """Return a release on the index; a development version counts as the release it leads to."""
    try:
        version = Version(text or "")
    except InvalidVersion:
        return None
    return Version(version.base_version) if version.is_devrelease else Version(version.public)
