"""Checks of requests to an engine, made before anything is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cloche.artifacts import ReplicaRange, digest_of_files
from cloche.artifacts.service import MOST_REPLICAS
from cloche.errors import UsageError
from cloche.spec import names

if TYPE_CHECKING:
    from cloche.artifacts import Deployment


def check_deployment(deployment: Deployment) -> None:
    """Refuse a deployment that no command of Cloche makes; raises UsageError."""
    name, repository = deployment.service, deployment.repository
    if not names.is_safe(name):
        hint = "Use lower-case letters, digits and '-', at most 63, with no '-' at the ends."
        raise UsageError("service.name", f"{name!r} is not a service name.", hint=hint)
    if not deployment.members:
        raise UsageError("deployment.invalid", "The deployment has no model.", where=name)
    if repository.service != name:
        what = f"The repository is for {repository.service!r}, not for {name!r}."
        raise UsageError("deployment.invalid", what, where=name)
    trees = [(repository.files, repository.digest)]
    trees += [(member.snapshot.files, member.snapshot.digest) for member in deployment.members]
    for files, digest in trees:
        if digest_of_files(files) != digest:
            raise UsageError("deployment.invalid", f"{digest} is not the digest of its files.")
    replicas = deployment.operated.replicas
    if replicas is not None:
        check_replicas(replicas)


def replica_range(replicas: object) -> ReplicaRange:
    """Return a number of replicas as a range; raises UsageError `service.replicas`."""
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise _not_replicas(replicas)
    count = ReplicaRange.exactly(replicas)
    check_replicas(count)
    return count


def check_replicas(replicas: ReplicaRange) -> None:
    """Refuse a range that no target can serve; raises UsageError `service.replicas`."""
    least, most = replicas.minimum, replicas.maximum
    if not (0 <= least <= most and 1 <= most <= MOST_REPLICAS):
        raise _not_replicas(most if replicas.fixed else f"{least} to {most}")


def server_url(url: str) -> str:
    """Return a base URL without its final slash; raises UsageError `verify.url`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
    except ValueError:
        usable = False
    if not usable:
        hint = "Give the base URL of the server, such as http://127.0.0.1:8000."
        raise UsageError("verify.url", "This is not the URL of a Triton server.", hint=hint)
    return url.rstrip("/")


def _not_replicas(value: object) -> UsageError:
    hint = "`cloche delete` removes a service." if value == 0 else None
    what = f"replicas must be a whole number from 1 to {MOST_REPLICAS}, not {value!r}."
    return UsageError("service.replicas", what, hint=hint)
