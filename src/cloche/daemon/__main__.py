"""`python -m cloche.daemon`: the control plane, without the command line in its memory.

A command starts it ahead of time, then tells it to begin; see `clients.control.process_protocol`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from cloche import settings
from cloche.clients.control.process_protocol import WHEN_TOLD, error_line
from cloche.daemon.main import serve
from cloche.daemon.signs import kept_by
from cloche.errors import ClocheError, lines_of

_PRELOADED = ("cloche.state.sqlite", "cloche.store", "cloche.targets.local.target")
"""Modules that are otherwise loaded on first use; loading them ahead of time saves a wait."""


def main() -> int:
    """Serve until told to end; write an error to stderr, as JSON for a command.

    Return the exit code.
    """
    by_command = WHEN_TOLD in sys.argv[1:]
    if by_command and not _wait_for_command():
        return 0
    try:
        serve(settings.load(), keeper=kept_by(sys.argv[1:], os.environ))
    except ClocheError as error:
        text = error_line(error) if by_command else "\n".join(lines_of(error))
        print(text, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _wait_for_command() -> bool:
    """Return whether the command says to begin; False if it ended first."""
    for module in _PRELOADED:
        import_module(module)
    begin = os.read(0, 1) != b""
    # The pipe belongs to the caller; the servers of this home must not inherit it.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return begin


if __name__ == "__main__":
    raise SystemExit(main())
