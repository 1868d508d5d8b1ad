"""What a sandbox closes on this machine: tried with a program in one, never assumed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cloche.sandbox import surroundings

_SECONDS = 30
_CODE = """
import json, socket, sys
secret, port, agent = sys.argv[1:]
reached = []
def attempt(what, action):
    try:
        action()
    except OSError:
        return
    reached.append(what)
attempt("files", lambda: open(secret).close())
attempt("sockets", lambda: socket.socket(socket.AF_UNIX).connect(agent))
attempt("network", lambda: socket.create_connection(("127.0.0.1", int(port)), 2))
print(json.dumps(reached))
"""


@dataclass(frozen=True, slots=True)
class Held:
    """Whether each of these is closed to a program in a sandbox."""

    files: bool
    sockets: bool
    network: bool
    """If it is to be closed."""


@cache
def held() -> Held:
    """Try to reach what a sandbox closes, from within one."""
    with (
        tempfile.TemporaryDirectory(prefix="cloche-") as outside,
        tempfile.TemporaryDirectory(prefix="cloche-") as inside,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as agent,
    ):
        secret, path = Path(outside, "secret"), Path(outside, "agent")
        secret.touch()
        agent.bind(str(path))
        agent.listen()
        walls = surroundings.walls(
            os.environ, Path(inside), read=surroundings.python(Path(sys.executable)), network=False
        )
        walls = replace(walls, open=str(Path(inside, "open")))
        port = str(server.getsockname()[1])
        python = (sys.executable, "-I", "-S", "-c", _CODE)
        reached = _run(walls.around(*python, str(secret), port, str(path)))
    return Held(*(what not in reached for what in ("files", "sockets", "network")))


def _run(command: tuple[str, ...]) -> list[str]:
    """Return what a program reached; everything if it does not run."""
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
        return list(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return ["files", "sockets", "network"]
