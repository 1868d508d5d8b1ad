"""How a command and the control plane's process that it starts talk before the API answers.

The command runs `COMMAND` with `WHEN_TOLD`. The process loads what it needs and reads one byte from
stdin: it begins when there is one, and exits when stdin closes without. A process that cannot begin
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
"""Like `cloche serve`, without the command line in memory."""
WHEN_TOLD = "--when-told"
"""Has the process wait for the byte, and write its errors as JSON."""
GO = b"\n"


def error_line(error: ClocheError) -> str:
    """Return an error as the line that `error_in` reads."""
    return json.dumps({"error": error.to_dict()})


def error_in(line: str) -> ClocheError | None:
    """Return the error in a line; None where the line is of something else."""
    try:
        return from_dict(json.loads(line)["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
