"""The fields of objects: which of them are ours, and how two states of an object differ.

A path is written as an API server writes it: `spec.template.spec.containers[name="server"].image`.
Which lists have keys, and who set what, is read from `metadata.managedFields`, so that it holds for
every kind: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cloche.targets.kubernetes.quantities import amount

Tree = Mapping[str, Any]
"""A FieldsV1: `f:` a field, `k:` an item by its keys, `v:` an item by its value, `.` itself."""
Difference = tuple[str, Any, Any]
"""A path, what is there, and what is wanted; None for nothing."""

_QUANTITIES = frozenset({"limits", "requests"})
_INDEX = "[{}]"


def tree_of(body: Mapping[str, Any], manager: str | None = None) -> dict[str, Any]:
    """Return the fields that were set in an object, or those that a manager applied."""
    tree: dict[str, Any] = {}
    for entry in body["metadata"].get("managedFields") or ():
        applied = entry.get("operation") == "Apply" and not entry.get("subresource")
        if manager is None or (applied and entry.get("manager") == manager):
            tree = merged(tree, entry.get("fieldsV1") or {})
    return tree


def merged(tree: Tree, more: Tree) -> dict[str, Any]:
    """Return the fields of two trees."""
    inner = {name: merged(tree.get(name, {}), item) for name, item in more.items()}
    return {**tree, **inner}


def differences(wanted: Any, current: Any, tree: Tree, path: str = "") -> Iterator[Difference]:
    """Yield the fields that are wanted and are not so; what else is there makes no difference.

    `tree` tells which lists have keys. A number of bytes or processors may be written otherwise.
    """
    if isinstance(wanted, dict) and isinstance(current, dict):
        for key, item in wanted.items():
            inner = _inner(tree, f"f:{key}")
            yield from differences(item, current.get(key), inner, _join(path, key))
    elif isinstance(wanted, list) and isinstance(current, list) and _keys(tree):
        for item in wanted:
            key = _key_of(item, tree)
            found = _item(current, key)
            yield from differences(item, found, _inner(tree, key), path + _bracket(key))
    elif not _same(wanted, current, path):
        after = leaves(wanted, tree, path)
        before = leaves(current, tree, path) if current is not None else {}
        yield from ((each, before.get(each), item) for each, item in after.items())


def surplus(tree: Tree, wanted: Any, current: Any, path: str = "") -> Iterator[Difference]:
    """Yield the fields of a tree that are in an object and are no longer wanted."""
    for name, inner in tree.items():
        if name == ".":
            continue
        step, before = _step(name), _child(current, name)
        after = _child(wanted, name)
        if before is None:
            continue
        if after is None:
            yield (f"{path}{step}".removeprefix("."), before, None)
        elif inner:
            yield from surplus(inner, after, before, path + step)


def leaves(value: Any, tree: Tree, path: str = "") -> dict[str, Any]:
    """Return the values of an object by their paths."""
    if isinstance(value, dict) and value:
        found: dict[str, Any] = {}
        for key, item in value.items():
            found |= leaves(item, _inner(tree, f"f:{key}"), _join(path, key))
        return found
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        found = {}
        for index, item in enumerate(value):
            key = _key_of(item, tree) if _keys(tree) else None
            step = _INDEX.format(index) if key is None else _bracket(key)
            inner = {} if key is None else _inner(tree, key)
            found |= leaves(item, inner, path + step)
        return found
    return {path: value}


def chosen(value: Any, tree: Tree) -> Any:
    """Return the part of an object that a tree names, by the names of the tree."""
    if not tree:
        return value
    parts = {name: (_child(value, name), inner) for name, inner in tree.items() if name != "."}
    return {name: chosen(part, inner) for name, (part, inner) in parts.items() if part is not None}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield how the values by path of one state of an object differ from those of another."""
    for path in [*after, *(path for path in before if path not in after)]:
        if not _equal(after.get(path), before.get(path), path):
            yield path, before.get(path), after.get(path)


# ── inside ────────────────────────────────────────────────────────────────────────────────────


def _inner(tree: Tree, name: str) -> Tree:
    found: Tree = tree.get(name, {})
    return found


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _step(name: str) -> str:
    return f".{name[2:]}" if name.startswith("f:") else _bracket(name)


def _bracket(name: str) -> str:
    """Return an item of a list as an API server writes it; `name` is of a FieldsV1."""
    if name.startswith("v:"):
        return f"[={name[2:]}]"
    keys = json.loads(name[2:])
    pairs = (f"{key}={json.dumps(value)}" for key, value in sorted(keys.items()))
    return f"[{','.join(pairs)}]"


def _keys(tree: Tree) -> tuple[str, ...]:
    """Return the keys by which the items of a list are told apart; none for a list that is one."""
    first = next((name for name in tree if name.startswith("k:")), None)
    return tuple(json.loads(first[2:])) if first is not None else ()


def _key_of(item: Mapping[str, Any], tree: Tree) -> str:
    """Return the name of an item in a tree; a key that it leaves to its default is taken there."""
    own = {key: item[key] for key in _keys(tree) if key in item}
    for name in tree:
        if name.startswith("k:") and own.items() <= json.loads(name[2:]).items():
            return name
    return f"k:{json.dumps(own)}"


def _item(items: list[Any], name: str) -> Any:
    wanted = json.loads(name[2:])
    for item in items:
        if all(item.get(key, value) == value for key, value in wanted.items()):
            return item
    return None


def _child(value: Any, name: str) -> Any:
    """Return what an object has under a name of a tree; None for nothing."""
    if name.startswith("f:"):
        return value.get(name[2:]) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    if name.startswith("v:"):
        one = json.loads(name[2:])
        return one if one in value else None
    return _item(value, name)


def _same(wanted: Any, current: Any, path: str) -> bool:
    """Return whether all that is wanted is there, in lists item by item."""
    if isinstance(wanted, dict) and isinstance(current, dict):
        return all(_same(item, current.get(key), _join(path, key)) for key, item in wanted.items())
    if isinstance(wanted, list) and isinstance(current, list):
        pairs = zip(wanted, current, strict=False)
        return len(wanted) == len(current) and all(_same(one, two, path) for one, two in pairs)
    return _equal(wanted, current, path)


def _equal(one: Any, other: Any, path: str) -> bool:
    if one == other:
        return True
    if not (isinstance(one, str) and isinstance(other, str) and _is_quantity(path)):
        return False
    value = amount(one)
    return value is not None and value == amount(other)


def _is_quantity(path: str) -> bool:
    *_, before, last = ["", *path.split(".")]
    return before in _QUANTITIES or last in ("sizeLimit", "averageValue")
