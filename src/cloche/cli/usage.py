"""What is wrong with a command line whatever it names."""

from __future__ import annotations

from cloche.errors import UsageError


def refuse_together(**given: object) -> None:
    """Raise UsageError if more than one of the named values was given."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(
            "usage.exclusive",
            f"{' and '.join(names)} were given together.",
            hint="Give one of them.",
        )
