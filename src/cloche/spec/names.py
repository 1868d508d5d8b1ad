"""Names of services: safe in DNS, in paths and on any file system (RFC 1123 labels)."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 63
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""Regular expression of a name, for Python and for JSON Schema."""
_VERSION = re.compile(r"v?\d+")


def is_safe(name: str) -> bool:
    """Return whether a name is an RFC 1123 label: a-z, 0-9 and inner dashes, at most 63."""
    return re.fullmatch(LABEL, name) is not None


def corrected(name: str) -> str | None:
    """Return the nearest safe name, None if nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    dashed = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    return dashed[:MAX_LENGTH].rstrip("-") or None


def from_reference(reference: str) -> str | None:
    """Return a service name for a model reference, None if it has none.

    `models:/Digits_Clf@champion` → `digits-clf`, `./my model.onnx` → `my-model`,
    `runs:/0a1b/classifier` → `classifier`.
    """
    scheme, separator, rest = reference.strip().partition(":")
    is_uri = bool(separator) and re.fullmatch(r"[a-z][a-z0-9+-]+", scheme) is not None
    path = rest if is_uri else reference.strip()
    if is_uri:
        path = re.split(r"[@?#]", path, maxsplit=1)[0]
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    if scheme == "models" and len(parts) > 1 and _VERSION.fullmatch(parts[-1]):
        parts.pop()
    if not parts:
        return None
    return corrected(re.sub(r"\.onnx$", "", parts[-1], flags=re.IGNORECASE))
