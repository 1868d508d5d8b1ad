"""Names on a hub, as regular expressions."""

from __future__ import annotations

import re

PART = r"\w[\w.-]*"
"""A part of a repository's name: `org/name`, or `name` for those from before organisations."""
REPOSITORY = re.compile(rf"{PART}(?:/{PART})?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
