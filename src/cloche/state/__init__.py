"""What is declared and what happened: the contracts of state and journal."""

from cloche.state.journal import Journal
from cloche.state.state import State, Stored

__all__ = ["Journal", "State", "Stored"]
