"""State and journal in one SQLite file."""

from cloche.state.sqlite.journal import SqliteJournal
from cloche.state.sqlite.state import SqliteState

__all__ = ["SqliteJournal", "SqliteState"]
