"""The engine of Cloche: it records what is asked for and brings it about, with no HTTP in it."""

from cloche.control.engine import Engine
from cloche.control.plane import ControlPlane
from cloche.control.verifier import Verifier

__all__ = ["ControlPlane", "Engine", "Verifier"]
