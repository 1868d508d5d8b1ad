"""Triton: its installation from the wheel, what it is started with, and what it is pointed at."""

from cloche.servers.triton.installation import TritonInstallation, install, outdated
from cloche.servers.triton.process import ServerCommand, ServerPorts, clean_shared_memory, command
from cloche.servers.triton.serving import lay_out

__all__ = [
    "ServerCommand",
    "ServerPorts",
    "TritonInstallation",
    "clean_shared_memory",
    "command",
    "install",
    "lay_out",
    "outdated",
]
