"""Strategic merge patches: what a target changes in a generated object.

Mappings are merged and null removes a key. Items of lists that have a merge key are merged by it;
other lists are replaced.
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Of a pod's lists."""
_DIRECTIVE = "$patch"


def merge(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with a patch on it."""
    if patch.get(_DIRECTIVE) == "replace":
        return {key: item for key, item in patch.items() if key != _DIRECTIVE}
    merged = dict(value)
    for key, item in patch.items():
        current = merged.get(key)
        if item is None:
            merged.pop(key, None)
        elif isinstance(item, dict):
            merged[key] = merge(current if isinstance(current, dict) else {}, item)
        elif isinstance(item, list) and isinstance(current, list) and key in _MERGE_KEYS:
            merged[key] = _merge_items(current, item, _MERGE_KEYS[key])
        else:
            merged[key] = item
    return merged


def _merge_items(current: list[Any], patch: list[Any], key: str) -> list[Any]:
    """Return a list whose items are mappings that a key tells apart."""
    patches = {item.get(key): item for item in patch if isinstance(item, dict)}
    merged = []
    for item in current:
        change = patches.pop(item.get(key), None)
        if change is None:
            merged.append(item)
        elif change.get(_DIRECTIVE) != "delete":
            merged.append(merge(item, change))
    added = [each for each in patches.values() if each.get(_DIRECTIVE) != "delete"]
    return merged + [merge({}, each) for each in added]
