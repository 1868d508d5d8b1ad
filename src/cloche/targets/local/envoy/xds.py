"""The configuration files that Envoy watches; each is replaced atomically, by rename.

Protocol: a file holds one DiscoveryResponse
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#filesystem-subscriptions). Its
version is the digest of its resources, so any process can compare the version that Envoy has with
the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from cloche import files
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Json = dict[str, Any]

_HEAD = re.compile(rb'\{"version_info": ?"([^"\\]*)", ?"type_url":')
_HEAD_BYTES = 256


def publish(
    path: Path, type_url: str, resources: Sequence[Json], *, reserve: Path | None = None
) -> str:
    """Write resources for Envoy and return their version.

    A file that has them already is not written again.
    """
    typed = [{"@type": type_url, **resource} for resource in resources]
    # Tables of hundreds of services have megabytes: they are written as text once, and short.
    text = json.dumps(typed, sort_keys=True, separators=(",", ":"))
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    if version != read_version(path):
        head = f'"version_info":"{version}","type_url":{json.dumps(type_url)}'
        replace(path, f'{{{head},"resources":{text}}}'.encode(), reserve=reserve)
    return version


def read_version(path: Path) -> str | None:
    """Return the version of a file's resources; None if the file is missing or not whole."""
    try:
        with path.open("rb") as file:
            head = _HEAD.match(file.read(_HEAD_BYTES))
            if head is None:
                return None
            file.seek(-2, os.SEEK_END)
            return head[1].decode() if file.read() == b"]}" else None
    except FileNotFoundError:
        return None


def read_resources(path: Path) -> list[Json]:
    """Return a file's resources; empty if the file is missing or broken."""
    resources = _read(path).get("resources")
    return resources if isinstance(resources, list) else []


def _read(path: Path) -> Json:
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def replace(path: Path, data: bytes, *, reserve: Path | None = None) -> None:
    """Replace a file atomically; raises ClocheError `gateway.unwritable`.

    `reserve` is given up for it on a full disk.
    """
    try:
        files.write_atomically(path, data, reserve=reserve)
    except OSError as error:
        raise ClocheError(
            "gateway.unwritable",
            f"Cannot write the gateway's configuration: {error.strerror}.",
            where=str(path),
            hint="Free some space or make the folder writable; the gateway keeps what it has.",
            retriable=True,
        ) from error
