"""The facts of a program of JAX that is not loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from cloche.artifacts import Finding, Loading
from cloche.errors import ClocheError
from cloche.formats import unloaded
from cloche.formats.jax.exported import Exported, exported

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

TESTED = "0.12.0.1"
"""The newest release of JAX that was tried here."""


def inspect_file(snapshot: ModelSnapshot, path: Path, options: ModelOptions) -> ModelFacts:
    """Return the facts of a program.

    Raises ClocheError `inspection.jax.platform` for one that does not run on a CPU, and `.devices`
    for one that runs on several together.
    """
    held = exported(path)
    if held is None:
        raise ClocheError(
            "inspection.jax.damaged",
            "The file is not whole: JAX wrote it, and it cannot be read.",
            where=snapshot.pinned,
            hint="Export or download it again.",
        )
    _check(held, snapshot.pinned)
    needed, findings = _requirements(held, options)
    framework = f"jax {held.jax}, StableHLO" if held.jax else "jax, StableHLO"
    environment = unloaded.Environment(options.python or unloaded.PYTHON, needed, findings)
    loaded = Loading("jax", "exported", snapshot.entry)
    return unloaded.facts(snapshot, framework, loaded, environment)


def _check(held: Exported, where: str) -> None:
    if "cpu" not in held.platforms:
        raise ClocheError(
            "inspection.jax.platform",
            f"The program was exported for {', '.join(held.platforms) or 'no platform'}, and this"
            " machine would run it on cpu.",
            where=where,
            hint="Export it for both:"
            " jax.export.export(jax.jit(f), platforms=['cpu', 'cuda'])(…).serialize().",
        )
    if held.devices > 1:
        raise ClocheError(
            "inspection.jax.devices",
            f"The program was exported for {held.devices} devices that run it together.",
            where=where,
            hint="Export it without shardings, for one device.",
        )


def _requirements(
    held: Exported, options: ModelOptions
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return what the program needs: a release of JAX reads what earlier ones wrote.

    That holds for six months at least (https://docs.jax.dev/en/latest/export/export.html,
    "Compatibility guarantees"); later JAX itself says that a file is too old.
    """
    if options.requirements:
        return options.requirements, ()
    newer = _is_newer(held.jax)
    line = f"jax=={held.jax if newer else TESTED}"
    why = "the release that the file records" if newer else "the newest that was tested"
    return (line,), (unloaded.assumed([line], why),)


def _is_newer(release: str | None) -> bool:
    try:
        version = Version(release or "0")
    except InvalidVersion:
        return False
    return version > Version(TESTED) and not version.is_prerelease and not version.local
