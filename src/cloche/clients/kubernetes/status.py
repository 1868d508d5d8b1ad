"""What an API server says about a request that it refuses: an object Status.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

_LONGEST = 1000
"""Characters of a server's own words that are shown."""


@dataclass(frozen=True, slots=True)
class Status:
    """An answer that refuses."""

    code: int
    reason: str = ""
    message: str = ""
    name: str = ""
    """Of the object that it is about."""
    kind: str = ""
    """In the plural mostly."""
    causes: tuple[tuple[str, str, str], ...] = ()
    """Reason, field and message of each."""
    pause: float | None = None
    """Seconds to wait before it is asked again."""
    spoken: bool = True
    """Whether an API server wrote it."""

    @property
    def said(self) -> str:
        """Return the server's words, as the end of a sentence."""
        text = " ".join(self.message.split())[:_LONGEST].rstrip(".")
        return f": {text}" if text else ""


def status_of(code: int, body: Any) -> Status:
    """Return what a decoded body says, or as much as the code does."""
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return Status(code, spoken=False)
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    causes = details.get("causes")
    pause = details.get("retryAfterSeconds")
    return Status(
        code,
        _text(body, "reason"),
        _text(body, "message"),
        _text(details, "name"),
        _text(details, "kind"),
        tuple(
            (_text(cause, "reason"), _text(cause, "field"), _text(cause, "message"))
            for cause in (causes if isinstance(causes, list) else ())
            if isinstance(cause, dict)
        ),
        float(pause) if isinstance(pause, int) and pause > 0 else None,
    )


def decoded(body: bytes) -> Any:
    """Return a body's JSON, or None."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""
