"""The contracts of the state (what is declared) and the journal (what happened)."""

from cloche.state.journal import Journal
from cloche.state.state import State, Stored

__all__ = ["Journal", "State", "Stored"]
