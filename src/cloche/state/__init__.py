"""The contracts of the state (declared), the journal (happened) and holds (who may act)."""

from cloche.state.hold import AlwaysHeld, Hold
from cloche.state.journal import Journal
from cloche.state.state import State, Stored

__all__ = ["AlwaysHeld", "Hold", "Journal", "State", "Stored"]
