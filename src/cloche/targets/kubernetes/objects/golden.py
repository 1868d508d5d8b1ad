"""The ConfigMap of a revision: the script that asks a pod its golden request, and the answer."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes.objects import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.targets.desired import Placement


def of(placement: Placement, namespace: str, content: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the ConfigMap, which never changes."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.of_revision(placement, namespace),
        "immutable": True,
        "binaryData": {
            name: base64.b64encode(data).decode() for name, data in sorted(content.items())
        },
    }
