"""Cloche: from a trained model to a verified, observed inference service.

    import cloche

    with cloche.Client() as client:
        client.deploy("models:/digits@champion", name="digits")
        answer = client.infer("digits", pixels)

The public names load what they need when they are first used; `import cloche` loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import (
    BusyError,
    ClocheError,
    ConflictError,
    ErrorGroup,
    NotFoundError,
    SupersededError,
    UnavailableError,
    UsageError,
)
from cloche.version import __version__

if TYPE_CHECKING:
    from cloche.client import Client, DeployResult

__all__ = [
    "BusyError",
    "Client",
    "ClocheError",
    "ConflictError",
    "DeployResult",
    "ErrorGroup",
    "NotFoundError",
    "SupersededError",
    "UnavailableError",
    "UsageError",
    "__version__",
]

_LATER = {"Client": "cloche.client", "DeployResult": "cloche.client"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'cloche' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
