"""Who asks a registry."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and password, or a token instead. Nothing of it is ever printed."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """Gets tokens of the registry's token server (a refresh token of OAuth 2)."""
    registry_token: str = field(default="", repr=False)
    """Is sent to the registry as it is."""

    @property
    def basic(self) -> str | None:
        """Return the header Authorization for name and password; None where there are none."""
        if not self.username and not self.password:
            return None
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {b64encode(pair).decode()}"
