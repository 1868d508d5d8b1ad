"""The one file of a framework in an MLflow folder, without MLflow's wrapper around it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from cloche.formats import unloaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.artifacts import Loading, ModelFacts, ModelSnapshot, Signature

T = TypeVar("T")
_DATA = "data"
"""Where MLflow puts what the framework saved."""
_CODE = "code"
"""Where it puts the code that a model needs (`code_paths`)."""


def only_file(
    snapshot: ModelSnapshot, root: Path, contents: Callable[[Path], T | None]
) -> tuple[str, T] | None:
    """Return the path and the contents of the only file that a framework saved; None for others.

    `contents` tells what a file holds, None if the framework did not write it.
    """
    folder = PurePosixPath(snapshot.entry).parent / _DATA
    found = [
        (entry.path, held)
        for entry in snapshot.files
        if PurePosixPath(entry.path).parent == folder
        and (held := contents(root / entry.path)) is not None
    ]
    return found[0] if len(found) == 1 else None


def code(snapshot: ModelSnapshot) -> dict[str, list[str]]:
    """Return the option of a loader that lets it import the code logged with a file of `data`."""
    folder = PurePosixPath(snapshot.entry).parent / _CODE
    logged = any(PurePosixPath(entry.path).is_relative_to(folder) for entry in snapshot.files)
    return {"code": [f"../{_CODE}"]} if logged else {}


def facts(
    snapshot: ModelSnapshot,
    framework: str,
    loading: Loading,
    told: Signature | None,
    declared: unloaded.Environment,
) -> ModelFacts:
    """Return what the folder tells without the model being loaded."""
    return unloaded.facts(
        snapshot,
        framework,
        loading,
        declared,
        inputs=told.inputs if told is not None else (),
        outputs=told.outputs if told is not None else (),
    )
