"""Cloche from Python: the same pipeline and the same control plane as the command line."""

from cloche.client.client import Client
from cloche.client.result import DeployResult

__all__ = ["Client", "DeployResult"]
