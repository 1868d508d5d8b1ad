"""Triton: its installation from the wheel, its command, and its serving folder."""

from cloche.servers.triton.installation import TritonInstallation
from cloche.servers.triton.server import TritonServer

__all__ = ["TritonInstallation", "TritonServer"]
