"""The engine of Cloche: it records requests and carries them out. It contains no HTTP."""

from cloche.control.engine import Engine
from cloche.control.plane import ControlPlane
from cloche.control.verifier import Verifier

__all__ = ["ControlPlane", "Engine", "Verifier"]
