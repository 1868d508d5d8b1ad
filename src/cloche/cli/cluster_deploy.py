"""Deploying to a place in a cluster: this command hosts the engine until the rollout has ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cloche.cli import autoscaling, consents, rendering, rollouts, session
from cloche.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Consent, Deployment
    from cloche.cli.session import Session
    from cloche.spec import ServiceSpec

_NETWORK = "image.network"


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
    """Deploy what a spec describes to a place among its targets, and return the exit code."""
    from cloche import cache

    _require_wait(wait=wait)
    with session.nothing_on_interrupt():
        here.opened(acts_for=spec.service_name, create_namespace=create_namespace)
    with cache.under_way(here.settings):
        with session.nothing_on_interrupt():
            deployment = packaged(here, spec, directory)
            for finding in deployment.warnings():
                if finding.code == _NETWORK:
                    click.echo(rendering.finding_text(finding), err=True)
        return submit(here, deployment, given, timeout=timeout, as_json=as_json)


def run_plan(
    path: Path, given: frozenset[Consent], *, wait: bool, timeout: float, as_json: bool
) -> int:
    """Deploy what a file of `cloche plan --out` holds, if it still holds; return the exit code."""
    from cloche.pipeline import plan_file

    _require_wait(wait=wait)
    planned = plan_file.read(path)
    here = session.begin(planned.place)
    with session.nothing_on_interrupt():
        opened = here.opened(acts_for=planned.deployment.service, planned=planned)
        plan_file.require_image(opened.connections, planned)
    return submit(here, planned.deployment, given, timeout=timeout, as_json=as_json)


def submit(
    here: Session,
    deployment: Deployment,
    given: frozenset[Consent],
    *,
    timeout: float,
    as_json: bool,
) -> int:
    """Deploy what is ready for the place, and return the exit code."""
    from cloche.artifacts import Consent
    from cloche.pipeline import cluster_tags

    opened = here.opened()
    control = opened.engine
    with session.nothing_on_interrupt():
        accepted = consents.asked(given, lambda: control.plan(deployment), as_json=as_json)
    if Consent.TAKE_OVER in accepted:
        opened.target.take_over()
    answer = control.deploy(deployment, accept=accepted)
    code = rollouts.conclude(
        here, control, deployment.service, answer, wait=True, timeout=timeout, as_json=as_json
    )
    unmeasured = autoscaling.unmeasured(here, control, deployment.service) if code == 0 else None
    if unmeasured is not None:
        click.echo(rendering.finding_text(unmeasured), err=True)
    cluster_tags.keep(opened, deployment.service)
    return code


def _require_wait(*, wait: bool) -> None:
    if not wait:
        raise UsageError(
            "deploy.no_wait",
            "In a cluster nothing carries on a rollout that a command leaves.",
            hint="Leave --no-wait out.",
        )


def packaged(
    here: Session,
    spec: ServiceSpec,
    directory: Path,
    *,
    push: bool = True,
    run_model: bool = True,
) -> Deployment:
    """Prepare a deployment for the place, and bring its image into the registry there.

    What the place can never serve is refused before. Without `run_model` the model runs only where
    nothing tells what it would.
    """
    from cloche.pipeline import cluster_package

    deployment, findings = cluster_package.prepared(
        spec, directory, here.opened(),
        push=push, run_model=run_model,
        settings=here.settings, progress=here.progress, environment=os.environ,
    )  # fmt: skip
    for finding in findings:
        if finding.code != _NETWORK:  # which the deployment says of its base
            click.echo(rendering.finding_text(finding), err=True)
    return deployment
