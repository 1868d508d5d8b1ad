"""The command line: one module per verb, imported when the verb is called.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 superseded, 130 interrupted. Results go to stdout,
progress and errors to stderr; with `--json` an error is an object on stdout.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]

_OBJECTS = 50_000
"""New objects after which those that nothing refers to any more are looked for. Imports make so
many that stay that looking as often as Python does is a tenth of a short command."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` defaults to those of the process."""
    gc.set_threshold(_OBJECTS)
    try:
        from cloche.cli.application import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 130
