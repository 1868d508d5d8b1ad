"""`cloche deploy`: from a model reference to a verified, live revision."""

from __future__ import annotations

from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloche.cli import cluster_deploy, consents, options, rollouts, session, usage

if TYPE_CHECKING:
    from cloche.artifacts import Consent, Deployment, DeployPlan
    from cloche.spec import ServiceSpec


@click.command()
@options.model
@options.file
@options.name
@options.example
@options.consents
@options.target
@click.option("--create-namespace", is_flag=True,
              help="Make the target's namespace if it is missing.")  # fmt: skip
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE",
              help="Carry out what `cloche plan --out` wrote, if it still holds.")  # fmt: skip
@options.wait
@options.timeout
@options.as_json
def command(
    *,
    model: str | None, file: Path | None, name: str | None, example: Path | None,
    given: frozenset[Consent], target: str | None, create_namespace: bool, plan: Path | None,
    wait: bool, timeout: float, as_json: bool,
) -> int:  # fmt: skip
    """Serve MODEL, verified, behind the gateway.

    MODEL is a file or folder (./model.onnx), a model of an MLflow registry
    (models:/digits@champion) or of a Hugging Face Hub (hf://org/name). Without MODEL,
    ./cloche.yaml or the file named by -f is read.

    A service without a written name is called as its model. If another model has that name
    already, a terminal asks; without one, --replace says yes.
    """
    if plan is not None:
        others = {"MODEL": model, "--file": file, "--name": name, "--example": example}
        for other, value in {**others, "--target": target}.items():
            usage.refuse_together(**{other: value, "--plan": plan})
        return cluster_deploy.run_plan(plan, given, wait=wait, timeout=timeout, as_json=as_json)
    with session.nothing_on_interrupt():
        from cloche.cli import specification

        here = session.begin()
        spec, directory = specification.chosen(model, file, name, example)
    if target is not None:
        place = spec.place(target, file)
        return cluster_deploy.run(
            here.at(place), spec, directory, given,
            create_namespace=create_namespace,
            wait=wait, timeout=timeout, as_json=as_json,
        )  # fmt: skip
    return _run_here(here, spec, directory, given, wait=wait, timeout=timeout, as_json=as_json)


def _run_here(
    here: session.Session, spec: ServiceSpec, directory: Path, given: frozenset[Consent],
    *, wait: bool, timeout: float, as_json: bool,
) -> int:  # fmt: skip
    with ExitStack() as held:
        with session.nothing_on_interrupt():
            from cloche import cache, pipeline

            launched = here.launch()
            held.enter_context(cache.under_way(here.settings))
            pipeline.require_runtime(spec)
            deployment = prepare(here, spec, directory)
            accepted = consents.asked(
                given,
                lambda: planned(here, deployment) if here.deployed() else None,
                as_json=as_json,
            )
            pipeline.provision(deployment, settings=here.settings, progress=here.progress)
            control = here.started_control(launched)
        with session.perhaps_on_interrupt(deployment.service):
            answer = control.deploy(deployment, accept=accepted)
        return rollouts.conclude(
            here, control, deployment.service, answer, wait=wait, timeout=timeout, as_json=as_json
        )


def prepare(
    here: session.Session,
    spec: ServiceSpec,
    directory: Path,
    *,
    anew: bool = False,
) -> Deployment:
    """Prepare the deployment of a spec in the store; its paths start from `directory`.

    What a cloche.lock knows is found out again if all is made `anew`.
    """
    from cloche import pipeline

    return pipeline.prepare(
        spec, directory=directory, settings=here.settings, progress=here.progress, anew=anew
    )


def planned(here: session.Session, deployment: Deployment) -> DeployPlan:
    """Return the plan of the control plane.

    If nothing was ever deployed, or everything was ended, the same function decides here, from the
    record alone.
    """
    if here.deployed() and not here.ended():
        return here.control().plan(deployment)
    from cloche import composition
    from cloche.control import planning

    recorded = closing(composition.state(here.settings)) if here.deployed() else nullcontext()
    with recorded as state:
        return planning.offline(deployment, state, composition.target(here.settings))
