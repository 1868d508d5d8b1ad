"""The limits of one request to a model that runs in a process of its own.

A made request may take little; the user's own and that of the model may take what there is.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.artifacts import RequestOrigin
from cloche.verification import model_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloche.verification.model_process import Usage

PROCESSOR_SECONDS = 20.0
"""Seconds of all processors that a made request may take: a busy machine is not its fault."""
SECONDS = 60.0
"""Seconds that it may take by the clock."""
_SHARE_OF_ONE = 0.5
"""The share of the free memory that a made request may take."""


@dataclass(slots=True)
class Limits:
    """The limits of the request under way, whose index is in the file `begun`."""

    begun: Path
    origins: Sequence[RequestOrigin]
    free: int = field(default_factory=model_process.available_memory)
    request: int | None = None
    began: float = 0.0
    processor: float = 0.0
    """Seconds of all processors that the process had used when the request began."""
    resident: int = 0
    """Bytes of the process when it began with its first request."""

    def exceeded(self, usage: Usage) -> str | None:
        """Return why the process has to end; None while it may go on."""
        now, begun = time.monotonic(), self._under_way()
        if begun is None:
            return None
        if begun != self.request:
            self.resident = self.resident or usage.resident
            self.request, self.began, self.processor = begun, now, usage.processor
        made = self.origins[begun] is RequestOrigin.MADE
        if made and usage.processor - self.processor > PROCESSOR_SECONDS:
            return f"more than {PROCESSOR_SECONDS:.0f} seconds of processors for one request"
        if made and now - self.began > SECONDS:
            return f"more than {SECONDS:.0f} seconds for one request"
        share = _SHARE_OF_ONE if made else 1.0
        if usage.resident - self.resident > share * self.free:
            return "more memory than this machine has to spare"
        return None

    def _under_way(self) -> int | None:
        with suppress(FileNotFoundError):
            return int(json.loads(self.begun.read_text(encoding="utf-8")))
        return None
