"""How long a registry is waited for."""

from __future__ import annotations

from dataclasses import dataclass

from cloche.clients import patience


@dataclass(frozen=True, slots=True)
class Patience(patience.Patience):
    """Limits in seconds."""

    commit: float = 300.0
    """For the answer to what was sent: some registries copy the whole blob before."""
