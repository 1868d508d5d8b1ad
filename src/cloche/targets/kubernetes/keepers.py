"""Who keeps an object, as far as it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Mapping


def keeper_of(found: Mapping[str, Any]) -> str | None:
    """Return what keeps an object, such as `Helm`; None if nothing is known to."""
    metadata = found["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    known = {
        "Argo CD": "argocd.argoproj.io/tracking-id" in annotations,
        "Flux": any(".toolkit.fluxcd.io/" in label for label in labels),
    }
    tools = [tool for tool, is_so in known.items() if is_so]
    owners = [f"{each['kind']} {each['name']}" for each in metadata.get("ownerReferences") or ()]
    labelled = [labels[names.MANAGED_BY]] if names.MANAGED_BY in labels else []
    return next(iter([*tools, *labelled, *owners]), None)
