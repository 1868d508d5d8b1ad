"""The protocol between a command and the control plane's process until the API answers.

The command runs `COMMAND` with `WHEN_TOLD`. The process loads its modules and reads one byte from
stdin: a byte starts it, and it exits if stdin closes without one. A process that cannot start
writes its error as the last line of its output, and exits with the error's code.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from cloche.errors import from_dict

if TYPE_CHECKING:
    from cloche.errors import ClocheError

COMMAND = (sys.executable, "-m", "cloche.daemon")
"""Does what `cloche serve` does, without loading the command line."""
WHEN_TOLD = "--when-told"
"""Makes the process wait for the byte and write its errors as JSON."""
KEPT = "--kept"
"""Says that a keeper starts the process, and starts it again (see `cloche.daemon.keeper`)."""
GO = b"\n"


def error_line(error: ClocheError) -> str:
    """Return an error as a line for `error_in`."""
    return json.dumps({"error": error.to_dict()})


def error_in(line: str) -> ClocheError | None:
    """Return the error in a line, None if it has none."""
    try:
        return from_dict(json.loads(line)["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
