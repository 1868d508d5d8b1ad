"""What replicas on this machine run in: whether it can be had, and its installation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloche import composition
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Deployment, Finding
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec


def require_runtime(
    spec: ServiceSpec, environment: Mapping[str, str] = os.environ
) -> tuple[Finding, ...]:
    """Return what a plan tells of what the replicas of a spec run in, on this machine.

    Raises UsageError `spec.local_gpu` for GPUs, and ClocheError as `replica_image.engine` if they
    are containers and nothing runs them.
    """
    from cloche.pipeline import replica_image

    _refuse_gpu(spec)
    runtime, release = spec.served().runtime, spec.server.release
    found = replica_image.findings(runtime, replica_image.engine(runtime, environment))
    return (*found, *replica_image.release_findings(release))


def _refuse_gpu(spec: ServiceSpec) -> None:
    """Raise UsageError for GPUs: what runs on this machine gets those that it sees, or none."""
    if spec.served().resources.gpu is None:
        return
    there = " or ".join(f"--target {name}" for name in spec.targets)
    hint = f"Deploy to a cluster: {there}." if there else "Write the cluster under `targets:`."
    raise UsageError(
        "spec.local_gpu", "`resources.gpu` is for clusters: on this machine no GPU is handed out.",
        where="resources.gpu", hint=f"{hint} Here, leave it out.",
    )  # fmt: skip


def provision(
    deployment: Deployment,
    *,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Install the server and the gateway and make the environments that models run in, if missing.

    In place of the server the image of the replicas is made, if they are containers.
    """
    from cloche.pipeline import replica_image

    engine = replica_image.engine(deployment.served.runtime, environment)
    composition.installations(settings).install(progress, server=engine is None)
    if engine is not None:
        replica_image.provide(
            deployment, engine, settings=settings, progress=progress, environment=environment
        )
    locks = deployment.installed_locks
    if locks:
        from cloche import environments

        folder, store = settings.layout.environments, composition.store(settings)
        for lock in locks:
            environments.materialize(lock, folder, progress, store=store)
