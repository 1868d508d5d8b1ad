"""Deploying to a place in a cluster: this command hosts the engine until the rollout has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.cli import consents, rollouts, session
from cloche.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Consent, Deployment
    from cloche.cli.session import Session
    from cloche.spec import ServiceSpec


def run(
    here: Session,
    spec: ServiceSpec,
    directory: Path,
    given: frozenset[Consent],
    *,
    create_namespace: bool,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Deploy what a spec describes, and return the exit code."""
    from cloche import cache

    if not wait:
        raise UsageError(
            "deploy.no_wait",
            "In a cluster nothing carries on a rollout that a command leaves.",
            hint="Leave --no-wait out.",
        )
    with session.nothing_on_interrupt():
        opened = here.opened(acts_for=spec.service_name, create_namespace=create_namespace)
    control = opened.engine
    with cache.under_way(here.settings):
        with session.nothing_on_interrupt():
            deployment = packaged(here, spec, directory)
            accepted = consents.asked(given, lambda: control.plan(deployment), as_json=as_json)
        answer = control.deploy(deployment, accept=accepted)
        return rollouts.conclude(
            here, control, deployment.service, answer,
            wait=True, timeout=timeout, as_json=as_json,
        )  # fmt: skip


def packaged(here: Session, spec: ServiceSpec, directory: Path, *, push: bool = True) -> Deployment:
    """Prepare a deployment for the place, and bring its image into the registry there.

    What the place can never serve is refused before.
    """
    from cloche import pipeline
    from cloche.pipeline import cluster
    from cloche.targets import Desired

    opened = here.opened()
    deployment = pipeline.prepare(
        spec, directory=directory, settings=here.settings, progress=here.progress
    )
    operated = cluster.operated_at(deployment, opened.place)
    opened.target.admit(Desired(deployment.service, operated=operated, asked=deployment.repository))
    return cluster.package(
        deployment, opened.place, opened.connections,
        push=push, settings=here.settings, progress=here.progress,
    )  # fmt: skip
