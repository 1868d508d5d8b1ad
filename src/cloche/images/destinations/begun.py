"""A folder that becomes a layout once it is whole, and is gone on with after a break.

digits/             the layout, which appears whole
.digits-<random>/   while a command writes it
.digits.partial/    after a break: the next command takes it by renaming it
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.files import sync_folder
from cloche.images.destinations import disk

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def written(folder: Path, *, kept: bool) -> Iterator[Path]:
    """Yield a folder that gets the name of `folder` at the end.

    After an error it is gone, unless it is `kept` and the same command may go on with it: after
    ctrl-C, and where the error says that another try may help.
    """
    begun = folder.with_name(f".{folder.name}.partial")
    with disk.writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        if kept:
            with suppress(OSError):  # there is none, or another command has just taken it
                begun.rename(temporary)
        yield temporary
        with disk.writing(folder):
            temporary.chmod(0o755)
            temporary.rename(folder)  # takes the place of an empty folder
            sync_folder(folder.parent)
    except BaseException as error:
        if kept and _goes_on(error):
            with suppress(OSError):  # another command broke off, too
                temporary.rename(begun)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _goes_on(error: BaseException) -> bool:
    if isinstance(error, ClocheError):
        return error.retriable and error.code != disk.FULL  # it would stay full
    return isinstance(error, KeyboardInterrupt)
