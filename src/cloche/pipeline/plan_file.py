"""A plan as a file: the prepared deployment, and what it was planned against.

It holds digests and settings, and no secret: whoever has it, the kubeconfig and the registry can
carry it out, on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import artifacts, files
from cloche.artifacts import Deployment, DeployPlan, KubernetesPlace
from cloche.errors import ClocheError, ConflictError, UsageError
from cloche.targets.kubernetes.objects import pod
from cloche.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.pipeline.image import Registries
    from cloche.state import State

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan is made against; if it moves the plan is stale."""

    cluster: str | None
    """The UID of its namespace kube-system; None where that may not be read."""
    record: str | None
    """The version of the service's record; None for a service that does not exist."""
    objects: Mapping[str, str]
    """Digests of what Cloche applied, by object."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan that can be carried out later, and elsewhere."""

    schema: int
    cloche: str
    """The version that made it."""
    place: KubernetesPlace
    deployment: Deployment
    plan: DeployPlan
    basis: Basis


@dataclass(frozen=True, slots=True)
class _Header:
    schema: int
    cloche: str


def basis_of(cluster: Cluster, state: State, place: KubernetesPlace, service: str) -> Basis:
    """Return what a plan of a service is made against now."""
    from cloche.pipeline import cluster_identity
    from cloche.targets.kubernetes import owned

    stored = state.service(service)
    record = stored.record if stored is not None else None
    rolling = record.rollout.to if record is not None and record.rollout is not None else None
    live = record.live if record is not None else None
    numbers = {each for each in (live, rolling) if each is not None}
    return Basis(
        cluster_identity.uid_of(cluster),
        stored.version if stored is not None else None,
        owned.digests(cluster, place.namespace, service, numbers),
    )


def write(
    path: Path, place: KubernetesPlace, deployment: Deployment, plan: DeployPlan, basis: Basis
) -> None:
    """Write a plan. Raises ClocheError `plan.file`."""
    import msgspec

    made = PlanFile(_SCHEMA, __version__, place, deployment, plan, basis)
    data = msgspec.json.format(artifacts.encode(made), indent=1)
    try:
        files.write_atomically(path, data + b"\n")
    except OSError as error:
        what = f"The plan cannot be written: {error.strerror}."
        raise ClocheError("plan.file", what, where=str(path)) from error


def read(path: Path) -> PlanFile:
    """Return the plan in a file. Raises UsageError `plan.file`."""
    hint = "Name a file that `cloche plan --out` made."
    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"The plan cannot be read: {error.strerror}."
        raise UsageError("plan.file", what, where=str(path), hint=hint) from error
    try:
        header = artifacts.decode(_Header, data)
        if header.schema == _SCHEMA:
            return artifacts.decode(PlanFile, data)
    except ValueError as error:
        what = f"This is no plan: {error}."
        raise UsageError("plan.file", what, where=str(path), hint=hint) from error
    raise UsageError(
        "plan.file", f"The plan was made by Cloche {header.cloche}; this is {__version__}.",
        where=str(path), hint="Make the plan again with this version, or use that one.",
    )  # fmt: skip


def require_image(connections: Registries, planned: PlanFile) -> None:
    """Raise ConflictError `plan.image` if the registry no longer has an image of a plan."""
    deployment = planned.deployment
    for image in sorted(pod.images_of(deployment.image, deployment.pod or {})):
        if not connections.has(image):
            what = "The image of the plan is no longer in the registry."
            hint = "Make the plan again: `cloche plan --out`."
            raise ConflictError("plan.image", what, where=image, hint=hint)


def require_current(cluster: Cluster, state: State, planned: PlanFile) -> None:
    """Raise ConflictError `plan.stale` if what a plan was made against is no longer so."""
    service, before = planned.deployment.service, planned.basis
    now = basis_of(cluster, state, planned.place, service)
    moved = []
    if None not in {before.cluster, now.cluster} and before.cluster != now.cluster:
        moved.append(f"The context {cluster.context} leads to another cluster.")
    if before.record != now.record:
        moved.append("The record of the service has changed.")
    names = sorted(before.objects.keys() | now.objects.keys())
    differ = [name for name in names if before.objects.get(name) != now.objects.get(name)]
    if differ:
        moved.append(f"These objects have changed: {', '.join(differ)}.")
    if moved:
        raise ConflictError(
            "plan.stale",
            f"The plan of {service} no longer holds. {' '.join(moved)}",
            where=f"namespace {planned.place.namespace} of context {cluster.context}",
            hint="Make the plan again: `cloche plan --out`.",
        )
