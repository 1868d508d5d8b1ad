"""Who asks, for the record."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    """Return `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no entry for this uid, as in many containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
