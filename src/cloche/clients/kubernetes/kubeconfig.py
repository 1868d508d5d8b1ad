"""The files of kubectl: found, read and merged as it does, and one context of them.

The first file that has a name wins it whole; paths are relative to the file that has them. The
current context is never used.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes.context import Context, User
from cloche.clients.kubernetes.entry import Entry, malformed, server_of, user_of
from cloche.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECTIONS = {"contexts": "context", "clusters": "cluster", "users": "user"}
"""Each is a list of `{name: NAME, KEY: {…}}`."""


def find(name: str, environment: Mapping[str, str]) -> Context:
    """Return the context of that name (`environment`: KUBECONFIG, HOME).

    Raises ClocheError `kubernetes.kubeconfig` and `kubernetes.context`.
    """
    paths = files(environment)
    entries = merged((path, _read(path)) for path in paths if path.exists())
    if not any(entries.values()):
        raise _no_files(paths)
    entry = entries["contexts"].get(name)
    if entry is None:
        raise _unknown(name, list(entries["contexts"]), paths)
    server = server_of(_named(entries, "clusters", entry))
    user = user_of(_named(entries, "users", entry))
    if user != User() and not (server.is_secure or server.is_loopback):
        raise malformed(entry.path, f"{entry.name} sends credentials to a server without TLS")
    return Context(name, server, user, entry.text("namespace") or "default")


def files(environment: Mapping[str, str]) -> list[Path]:
    """Return the files that kubectl would read, whether they exist or not."""
    listed = [part for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    home = environment.get("HOME") or str(Path.home())
    return [Path(part).absolute() for part in listed] or [Path(home, ".kube", "config")]


def merged(documents: Iterable[tuple[Path, Any]]) -> dict[str, dict[str, Entry]]:
    """Return the entries of each section by name; the first file that has a name wins."""
    entries: dict[str, dict[str, Entry]] = {section: {} for section in _SECTIONS}
    for path, document in documents:
        for section, key in _SECTIONS.items():
            own = _entries(path, document, section, key)
            entries[section] = own | entries[section]
    return entries


def _entries(path: Path, document: Any, section: str, key: str) -> dict[str, Entry]:
    if document is None:
        return {}
    if not isinstance(document, dict) or not isinstance(document.get(section) or [], list):
        raise malformed(path, f"`{section}` is not a list")
    entries: dict[str, Entry] = {}
    for item in document.get(section) or []:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise malformed(path, f"an entry of `{section}` has no name")
        fields = item.get(key) or {}
        if name in entries or not isinstance(fields, dict):
            wrong = "is there twice" if name in entries else f"has no section `{key}`"
            raise malformed(path, f"{name} of `{section}` {wrong}")
        entries[name] = Entry(path, f"{key} {name}", fields)
    return entries


def _read(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_bytes())
    except OSError as error:
        raise UsageError(
            "kubernetes.kubeconfig",
            f"A kubeconfig cannot be read: {error.strerror}.",
            where=str(path),
            hint="Correct KUBECONFIG, or the rights of the file.",
        ) from error
    except (YAMLError, ValueError):
        raise malformed(path, "it is not YAML") from None  # their words may show a secret


def _named(entries: Mapping[str, Mapping[str, Entry]], section: str, context: Entry) -> Entry:
    """Return the cluster or the user that a context names."""
    key = _SECTIONS[section]
    name = context.text(key)
    if not name and section == "users":
        return Entry(context.path, "user", {})
    found = entries[section].get(name)
    if found is None:
        wrong = f"names the {key} {name}, which no file has" if name else f"names no {key}"
        raise malformed(context.path, f"{context.name} {wrong}")
    return found


def _no_files(paths: list[Path]) -> UsageError:
    return UsageError(
        "kubernetes.kubeconfig",
        "There is no kubeconfig that says how a cluster is reached.",
        where=os.pathsep.join(map(str, paths)),
        hint="Set KUBECONFIG to the file that your cluster's administrator or provider gave you.",
    )


def _unknown(name: str, known: list[str], paths: list[Path]) -> NotFoundError:
    close = difflib.get_close_matches(name, known, n=1)
    nearest = f"Did you mean `{close[0]}`? " if close else ""
    contexts = f"The contexts are {', '.join(sorted(known))}." if known else "There is none."
    what = f"No kubeconfig has the context {name}." if name else "No context is named."
    where = os.pathsep.join(map(str, paths))
    return NotFoundError("kubernetes.context", what, where=where, hint=f"{nearest}{contexts}")
