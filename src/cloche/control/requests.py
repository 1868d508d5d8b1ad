"""Checks of requests to an engine, made before anything is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cloche.artifacts import Capacity, ReplicaRange, digest_of_files
from cloche.artifacts.service import MOST_REPLICAS
from cloche.errors import ConflictError, UsageError
from cloche.refusals import not_a_name
from cloche.spec import names

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, Operated


def check_whole(deployment: Deployment) -> None:
    """Refuse to deploy what is for a plan alone; raises UsageError `deployment.undetermined`."""
    if deployment.undetermined:
        left = ", ".join(deployment.undetermined)
        what = f"The deployment is for a plan alone: {left} is known after a run of the model."
        raise UsageError("deployment.undetermined", what, where=deployment.service)


def check_deployment(deployment: Deployment) -> None:
    """Refuse a deployment that no command of Cloche makes; raises UsageError."""
    name, repository = deployment.service, deployment.repository
    if not names.is_safe(name):
        raise not_a_name(name)
    if not deployment.members:
        raise UsageError("deployment.invalid", "The deployment has no model.", where=name)
    if repository.service != name:
        what = f"The repository is for {repository.service!r}, not for {name!r}."
        raise UsageError("deployment.invalid", what, where=name)
    trees = [(repository.files, repository.digest)]
    trees += [(member.snapshot.files, member.snapshot.digest) for member in deployment.members]
    for files, digest in trees:
        if not digest and deployment.undetermined:
            continue
        if digest_of_files(files) != digest:
            raise UsageError("deployment.invalid", f"{digest} is not the digest of its files.")
    replicas = deployment.operated.replicas
    if replicas is not None:
        check_replicas(replicas)


def replica_range(replicas: object) -> ReplicaRange:
    """Return a number of replicas, or a range, as a range; raises UsageError `service.replicas`."""
    if isinstance(replicas, int) and not isinstance(replicas, bool):
        replicas = ReplicaRange.exactly(replicas)
    if not isinstance(replicas, ReplicaRange):
        raise _not_replicas(replicas)
    check_replicas(replicas)
    return replicas


def check_scale(service: str, before: Operated, asked: ReplicaRange) -> None:
    """Refuse a number where an autoscaler sets it, and a range where none does.

    Raises ConflictError `service.autoscaled`, UsageError `service.not_autoscaled`.
    """
    now = before.replica_range
    if before.autoscaled is not None and asked.fixed:
        raise ConflictError(
            "service.autoscaled",
            f"Its autoscaler sets the number of replicas, {now.minimum} to {now.maximum}.",
            where=service,
            hint=f"`cloche scale {service} MIN..MAX` moves the two; a number of replicas in"
            " cloche.yaml ends the autoscaling.",
        )
    if before.autoscale is None and not asked.fixed:
        raise UsageError(
            "service.not_autoscaled",
            "Nothing says what the number of replicas would follow.",
            where=service,
            hint="Write autoscale: {requests_per_second: 100} in cloche.yaml and deploy.",
        )


def check_replicas(replicas: ReplicaRange) -> None:
    """Refuse a range that no target can serve; raises UsageError `service.replicas`."""
    least, most = replicas.minimum, replicas.maximum
    if not (0 <= least <= most and 1 <= most <= MOST_REPLICAS):
        raise _not_replicas(most if replicas.fixed else f"{least}..{most}")


def check_capacity(service: str, operated: Operated) -> None:
    """Refuse to replace the only replica bit by bit; raises UsageError `service.capacity`."""
    if operated.capacity is Capacity.PARTIAL and operated.replica_range.minimum < 2:
        raise UsageError(
            "service.capacity",
            "One replica cannot be replaced in part: the last one always stays.",
            where=service,
            hint="Write replicas: 2 or more, or rollout: {capacity: recreate}: with an outage.",
        )


def server_url(url: str) -> str:
    """Return the URL of a server without its final slash; raises UsageError `verify.url`.

    It may be `unix:PATH`.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
        usable = usable or (parts.scheme == "unix" and parts.path.startswith("/"))
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
