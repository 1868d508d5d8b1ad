"""Says whether the server of this pod can go on; run in the container, as the text of a command.

A model that runs in Python has a process of its own. Where that was killed, for memory as a rule,
the server says that all is well and answers each of its requests with an error, for ever: such a
server is told to end, so that it gets no more requests and is started again. The model itself is
not asked: a full queue is no reason to restart.
"""

import http.client
import os
import signal
import sys
from pathlib import Path

PORT = 8000
LIMIT = 4.0
SERVER = 1
STUB = "triton_python_b"
"""The name of the process of a model, as the kernel cuts it."""


def main() -> int:
    if any(_is_dead_stub(path) for path in Path("/proc").glob("[0-9]*/stat")):
        sys.stdout.write("The process of a model was killed; the server is started again.\n")
        os.kill(SERVER, signal.SIGTERM)
        return 1
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=LIMIT)
    try:
        connection.request("GET", "/v2/health/live")
        status = connection.getresponse().status
    except OSError as error:
        sys.stdout.write(f"The server does not answer: {error}.\n")
        return 1
    finally:
        connection.close()
    return int(status != http.client.OK)


def _is_dead_stub(path: Path) -> bool:
    """Return whether a process is one of a model that has ended, which nobody waits for."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name == STUB and rest.split()[0] in ("Z", "X")


if __name__ == "__main__":
    sys.exit(main())
