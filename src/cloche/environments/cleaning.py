"""Models' environments on this machine, and removing those that nothing needs."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.environments.construction import MARKER
from cloche.store import Cleaned, Usage
from cloche.store.disk import folder_size
from cloche.store.partials import size_of

if TYPE_CHECKING:
    from collections.abc import Collection


def usage(root: Path, keep: Collection[str]) -> list[Usage]:
    """Return the environments under `root`; `keep` are the digests of locks that are in use."""
    found = []
    with suppress(FileNotFoundError):
        for folder in root.iterdir():
            with suppress(FileNotFoundError):
                if folder.is_dir():
                    found.append(_usage(folder, keep))
    return found


def clean(root: Path, keep: Collection[str], *, before: float) -> Cleaned:
    """Remove the environments that nothing in `keep` needs and nobody asked for since `before`.

    `before` is in seconds since 1970. One that is being made stays. Files that uv's own cache links
    to as well are not counted as freed.
    """
    found, removed, freed = usage(root, keep), [], 0
    for one in found:
        if one.kept or one.last_used >= before:
            continue
        folder = root / str(one.digest).removeprefix("sha256:")
        size = size_of(folder)
        if _remove(folder, before):
            removed.append(one)
            freed += size
    left = sum(one.size for one in found) - sum(one.size for one in removed)
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
        lock = (folder / "requirements.lock").read_text(encoding="utf-8")
        python = next((folder / "lib").glob("python*")).name.removeprefix("python")
    except (FileNotFoundError, StopIteration):
        return "unfinished environment"
    return f"Python {python}, {lock.count('==')} packages"


def _last_used(folder: Path) -> float:
    marker = folder / MARKER
    return (marker if marker.exists() else folder).stat().st_mtime


def _remove(folder: Path, before: float) -> bool:
    """Remove one under the lock that its making takes; False where that is held or it was used."""
    descriptor = files.open_lock(Path(f"{folder}.lock"))
    try:
        if not files.try_lock(descriptor) or _last_used(folder) >= before:
            return False
        # Without its marker it is not finished, whatever of it a kill leaves.
        (folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except FileNotFoundError:
        return False
    finally:
        os.close(descriptor)
    return True
