"""The environments on this machine, and removal of those that are not needed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.artifacts import Lock
from cloche.environments.construction import MARKER
from cloche.store import Cleaned, Usage
from cloche.store.disk import folder_size
from cloche.store.partials import size_of
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Collection


def usage(root: Path, keep: Collection[str]) -> list[Usage]:
    """Return the environments under `root`; `keep` has the digests of locks in use."""
    environments = []
    with suppress(FileNotFoundError):
        for folder in root.iterdir():
            with suppress(FileNotFoundError):
                if folder.is_dir():
                    environments.append(_usage(folder, keep))
    return environments


def clean(root: Path, keep: Collection[str], *, before: float) -> Cleaned:
    """Remove the environments that are not in `keep` and were last used before `before`.

    `before` is in seconds since 1970. An environment that is being made stays. Files that uv's
    cache also links to do not count as freed.
    """
    environments, removed, freed = usage(root, keep), [], 0
    for environment in environments:
        if environment.kept or environment.last_used >= before:
            continue
        folder = root / str(environment.digest).removeprefix("sha256:")
        size = size_of(folder)
        if _remove(folder, before):
            removed.append(environment)
            freed += size
    left = sum(each.size for each in environments) - sum(each.size for each in removed)
    return Cleaned(freed, left, tuple(removed))


def _usage(folder: Path, keep: Collection[str]) -> Usage:
    digest = f"sha256:{folder.name}"
    return Usage(
        kind="environment",
        digest=digest,
        label=_label(folder),
        size=folder_size(folder),
        last_used=_last_used(folder),
        kept=digest in keep,
    )


def _label(folder: Path) -> str:
    """Return `Python 3.11, 34 packages`."""
    try:
        text = (folder / "requirements.lock").read_text(encoding="utf-8")
        python = next((folder / "lib").glob("python*")).name.removeprefix("python")
    except (FileNotFoundError, StopIteration):
        return "unfinished environment"
    lock = Lock(f"sha256:{folder.name}", python, text)
    return f"Python {python}, {count_text(len(lock.packages), 'package')}"


def _last_used(folder: Path) -> float:
    marker = folder / MARKER
    return (marker if marker.exists() else folder).stat().st_mtime


def _remove(folder: Path, before: float) -> bool:
    """Remove an environment; return False if it was used since or its lock is held."""
    descriptor = files.open_lock(Path(f"{folder}.lock"))
    try:
        if not files.try_lock(descriptor) or _last_used(folder) >= before:
            return False
        # Without its marker it counts as unfinished, whatever a kill leaves of it.
        (folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except FileNotFoundError:
        return False
    finally:
        os.close(descriptor)
    return True
