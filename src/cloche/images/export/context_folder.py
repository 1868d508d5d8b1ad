"""Where a build context is written: a folder that holds nothing else."""

from __future__ import annotations

import shutil
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from cloche.errors import ClocheError
from cloche.files import temporary_name
from cloche.images.destinations import disk
from cloche.images.export.dockerfile import MARK
from cloche.images.sources.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_MARKED = ("Dockerfile", "job.yaml")
"""Files that tell that a folder was written here; they come last."""
_BUFFER = 2**20


def check(folder: Path, names: Collection[str]) -> None:
    """Raise ClocheError `export.output` for a folder with anything but an earlier export.

    `names` are what an export writes.
    """
    if not folder.exists():
        return
    why = "This is no folder." if not folder.is_dir() else _other(folder, names)
    if why:
        raise ClocheError(
            "export.output",
            why,
            where=str(folder),
            hint="Name a new folder, or that of an earlier export.",
        )


@contextmanager
def writing(folder: Path, names: Collection[str]) -> Iterator[Path]:
    """Yield a folder whose content takes the place of an earlier export in `folder`.

    After an error, ctrl-C included, nothing of it is left. Raises what `check` does.
    """
    check(folder, names)
    is_new = not folder.exists()
    work = folder / temporary_name(".export")
    try:
        with disk.writing(folder):
            work.mkdir(parents=True)
            yield work
            for name in sorted(names, key=_MARKED.__contains__):
                _replace(folder / name, work / name)
            work.rmdir()
    except BaseException:
        shutil.rmtree(folder if is_new else work, ignore_errors=True)
        raise


def unpack(chunks: Iterator[bytes], folder: Path) -> None:
    """Unpack a tar stream of our own, with the times and modes in it."""
    stream = Stream(chunks)
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=_BUFFER) as archive:
        # A link in it names a path of the image, so it leads out of the folder.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)  # noqa: S202
    stream.drain()


def _other(folder: Path, names: Collection[str]) -> str | None:
    """Return what speaks against writing into a folder; None if nothing does."""
    there = {path.name for path in folder.iterdir()}
    if others := sorted(there - set(names)):
        return f"The folder has {others[0]!r}, which no export wrote."
    marked = (folder / name for name in _MARKED if name in there)
    if there and not any(path.read_bytes().startswith(MARK.encode()) for path in marked):
        return "The folder has files that no export wrote."
    return None


def _replace(path: Path, new: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if new.exists():
        new.rename(path)
