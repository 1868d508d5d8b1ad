"""Triton: its installation from the wheel, what it is started with, and what it is pointed at."""

from cloche.servers.triton.installation import TritonInstallation
from cloche.servers.triton.server import TritonServer

__all__ = ["TritonInstallation", "TritonServer"]
