"""`python -m cloche.daemon`: the control plane with nothing of the command line in its memory.

A command starts it ahead of time, and tells it to begin; see `clients.control.process_protocol`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from cloche import settings
from cloche.clients.control.process_protocol import WHEN_TOLD, error_line
from cloche.daemon.main import serve
from cloche.errors import ClocheError, lines_of

_NEEDED = ("cloche.state.sqlite", "cloche.store", "cloche.targets.local.target")
"""What is loaded only where it is used otherwise."""


def main() -> int:
    """Serve until told to end; write an error to stderr, for a command as JSON."""
    by_command = WHEN_TOLD in sys.argv[1:]
    if by_command and not _is_told():
        return 0
    try:
        serve(settings.load())
    except ClocheError as error:
        text = error_line(error) if by_command else "\n".join(lines_of(error))
        print(text, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _is_told() -> bool:
    for module in _NEEDED:
        import_module(module)
    told = os.read(0, 1) != b""
    # The pipe is the caller's, and the servers of this home shall not inherit it.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return told


if __name__ == "__main__":
    raise SystemExit(main())
