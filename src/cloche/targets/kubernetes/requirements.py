"""What a service needs of a cluster beside rights: a version, and secrets to pull with."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Finding, Severity
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.clients.kubernetes.cluster import Cluster

OLDEST, NEWEST = (1, 33), (1, 37)
"""The versions of Kubernetes that Cloche is tested with."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_PULLING = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}
"""Types of secrets by which nodes pull, and the key of each."""


def check_version(cluster: Cluster) -> Finding:
    """Return what is to be said of the version of the API server.

    Raises ClocheError `kubernetes.version` for one that is too old.
    """
    text = cluster.version()
    version = version_of(text) or NEWEST
    if version < OLDEST:
        raise ClocheError(
            "kubernetes.version",
            f"The cluster runs Kubernetes {text}, and Cloche needs {_text(OLDEST)} or newer.",
            where=f"context {cluster.context}",
            hint="Upgrade the cluster.",
        )
    if version > NEWEST:
        what = f"Kubernetes {text} is newer than {_text(NEWEST)}, the newest that was tried."
        return Finding(Severity.WARNING, "kubernetes.newer", what)
    return Finding(Severity.NOTE, "kubernetes.version", f"Kubernetes {text}.")


def version_of(text: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version; None for text that has none."""
    found = _VERSION.match(text)
    return None if found is None else (int(found[1]), int(found[2]))


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def pull_secrets(
    cluster: Cluster, namespace: str, pod: Mapping[str, Any], host: str | None = None
) -> Iterator[ClocheError]:
    """Yield what is wrong with the secrets by which the images of a pod are pulled.

    With `host`, that of the registry, also that a secret does not name it. Secrets that may not be
    read are left.
    """
    for each in pod.get("imagePullSecrets") or ():
        try:
            found = cluster.get(kinds.SECRET, each["name"], namespace)
        except ForbiddenError:
            continue
        trouble = _trouble(found, host)
        if trouble is not None:
            yield ClocheError(
                "target.kubernetes.pull_secret",
                f"The secret {each['name']} of namespace {namespace} {trouble}.",
                where="pull_secret",
                hint=f"`kubectl create secret docker-registry {each['name']} -n {namespace}"
                " --docker-server=…` makes one.",
            )


def _trouble(secret: Mapping[str, Any] | None, host: str | None) -> str | None:
    if secret is None:
        return "is not there"
    key = _PULLING.get(secret.get("type", ""))
    if key is None:
        return f"has the type {secret.get('type')}, by which nodes do not pull"
    hosts = _hosts(str((secret.get("data") or {}).get(key, "")))
    if hosts is None:
        return "is not the configuration of a registry"
    if host is not None and not any(_is_of(each, host) for each in hosts):
        return f"does not name the registry {host}"
    return None


def _hosts(text: str) -> list[str] | None:
    """Return the registries that a secret is for; None for one that is not of its type."""
    try:
        given = json.loads(b64decode(text))
    except ValueError:
        return None
    registries = given.get("auths", given) if isinstance(given, dict) else None
    return list(registries) if isinstance(registries, dict) else None


def _is_of(written: str, host: str) -> bool:
    bare = re.sub(r"^https?://", "", written).partition("/")[0]
    return bare == host or (bare.startswith("*.") and host.endswith(bare[1:]))
