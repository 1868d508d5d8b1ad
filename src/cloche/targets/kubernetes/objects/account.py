"""The ServiceAccount of a service: it has no rights, and its token is not mounted."""

from __future__ import annotations

from typing import Any

from cloche.targets.kubernetes.objects import metadata


def of(service: str, namespace: str) -> dict[str, Any]:
    """Return the account."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata.of_service(service, namespace),
        "automountServiceAccountToken": False,
    }
