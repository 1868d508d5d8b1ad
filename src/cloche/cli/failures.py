"""Rendering errors: as text, and as JSON for `--json`.

    error[source.onnx.truncated]: The file ends in the middle of the graph.
      where: ./model.onnx
      hint: Copy it again and compare its size with the original.

The members of a group follow it in the same form, indented.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import click

from cloche import errors, files
from cloche.errors import ClocheError, UsageError
from cloche.refusals import internal
from cloche.rendering import json_text

if TYPE_CHECKING:
    from pathlib import Path


def render(error: ClocheError, *, as_json: bool) -> None:
    """Print an error as text on stderr, or as `{"error": …}` on stdout."""
    if as_json:
        click.echo(json_text({"error": error.to_dict()}))
        return
    for line in lines_of(error):
        click.echo(line, err=True)


def lines_of(error: ClocheError) -> list[str]:
    """Return an error as lines of text; members of a group follow it."""
    return errors.lines_of(error, lambda text: click.style(text, fg="red", bold=True))


def render_usage(error: click.ClickException, *, as_json: bool) -> int:
    """Render click's usage errors (an unknown option, a missing argument) like other errors."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "cloche"
    what = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        what = f"`{path}` needs a command."  # its message is the complete help
    usage = UsageError("usage.arguments", what, where=path, hint=f"See `{path} --help`.")
    render(usage, as_json=as_json)
    return usage.exit_code


def render_unexpected(error: Exception, *, as_json: bool) -> int:
    """Render an untranslated error: a short text, and the traceback in a file."""
    known = _translate(error)
    if known is not None:
        render(known, as_json=as_json)
        return known.exit_code
    import traceback

    details = "".join(traceback.format_exception(error))
    path = _keep(details)
    if path is None:
        sys.stderr.write(details)
    place = "in that file" if path else "above"
    hint = f"This is a defect of Cloche. Please report it, with the traceback {place}."
    defect = internal(error, hint=hint, where=str(path) if path else None)
    render(defect, as_json=as_json)
    return 1


def _translate(error: Exception) -> ClocheError | None:
    """Return the ClocheError for a machine failure that can occur anywhere, else None."""
    if not isinstance(error, OSError):
        return None
    where = str(error.filename) if error.filename else None
    if error.errno in files.FULL:
        hint = "Free some space, or run `cloche cache clean`, and try again."
        return ClocheError("disk.full", "The disk is full.", where=where, hint=hint, retriable=True)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        hint = "Check its owner and permissions, or set CLOCHE_HOME to another folder."
        return ClocheError("file.permission", f"{error.strerror}.", where=where, hint=hint)
    return None


def _keep(details: str) -> Path | None:
    from cloche import files
    from cloche.home import HomeLayout, default_home

    path = HomeLayout(default_home(os.environ)).log("cli-error")
    try:
        files.private_folder(path.parent)
        files.write_atomically(path, details.encode("utf-8", "replace"), private=True)
    except OSError:
        return None
    return path
