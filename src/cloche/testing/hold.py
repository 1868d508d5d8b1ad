"""The right to act, as a test gives it."""

from __future__ import annotations


class MemoryHold:
    """Implements `cloche.state.Hold`: it is held until the test says that another host has it."""

    def __init__(self, *services: str, elsewhere: bool = False) -> None:
        """Be about some services, or without any about all."""
        self.services = services or None
        self.elsewhere = elsewhere
        """Whether another host has it."""

    def held(self, service: str) -> bool:
        return not self.elsewhere and (self.services is None or service in self.services)

    def release(self) -> None:
        self.elsewhere = True
