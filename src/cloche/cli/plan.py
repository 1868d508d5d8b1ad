"""`cloche plan`: the changes of a deploy, and the reasons of generated values."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import (
    cluster_deploy,
    deploy,
    options,
    plan_objects,
    rendering,
    session,
    specification,
    usage,
)
from cloche.errors import UsageError
from cloche.units import download_text

if TYPE_CHECKING:
    from cloche.artifacts import Change, Deployment, DeployPlan, Finding
    from cloche.spec import ServiceSpec

MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "scale": ("~", "yellow")}


@click.command()
@options.model
@options.file
@options.name
@options.example
@click.option(
    "--base",
    metavar="IMAGE|PATH|cpu",
    help="Name the digest of the image on this base, as `cloche image build` would make it.",
)
@options.target
@click.option("--convert", is_flag=True,
              help="Run the model to tell what only a run tells.")  # fmt: skip
@click.option("--lock", is_flag=True,
              help="Write what is known of the model to cloche.lock.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="Push the image, and write a plan for `cloche deploy --plan`.")  # fmt: skip
@click.option("--why", is_flag=True, help="Show where every generated value comes from.")
@options.as_json
def command(
    *, model: str | None, file: Path | None, name: str | None, example: Path | None,
    base: str | None, target: str | None, convert: bool, lock: bool, out: Path | None, why: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what `cloche deploy` would change, and change nothing.

    Resolves and inspects the model and keeps it in the cache. The decision is the same as that of
    `cloche deploy`. Nothing of the model runs: what an earlier run, a pulled image or a
    cloche.lock beside cloche.yaml does not know is known after verification. With --convert, and
    for --lock, --base and --out, the model runs; for --target where no image in the registry of
    the target tells, either.
    """
    from cloche import pipeline
    from cloche.images import golden

    usage.refuse_together(**{"--base": base, "--target": target})
    if out is not None and target is None:
        what = "Only the plan of a place in a cluster is written to a file."
        raise UsageError("plan.out", what, hint="Name the place with --target.")
    here = session.begin()
    spec, directory = specification.chosen(model, file, name, example)
    runtime: tuple[Finding, ...] = ()
    if target is not None:
        here = here.at(spec.place(target, file))
        deployment, planned = _at_place(here, spec, directory, out, run_model=convert or lock)
    else:
        runtime = pipeline.require_runtime(spec)
        runs = convert or lock or base is not None
        deployment = (deploy.prepare(here, spec, directory, anew=lock) if runs
                      else _foreseen(here, spec, directory))  # fmt: skip
        planned = deploy.planned(here, deployment)
    written = _locked(here, spec, directory, deployment) if lock else None
    findings = (*planned.findings, *runtime, *golden.findings(deployment))
    plan = replace(planned, findings=findings)
    image = _image(here, deployment, base) if base is not None else None
    if as_json:
        from cloche.artifacts import to_builtins

        rendering.show_json(to_builtins(plan) | ({"image": image} if image else {}))
        return
    if here.place is not None:
        opened = here.opened()
        click.echo(
            f"{opened.cluster.server} (context {here.place.context}), namespace"
            f" {here.place.namespace}, as {opened.user}"
        )
    _show(plan)
    plan_objects.show(plan.objects, why=why)
    if image is not None:
        click.echo(f"Its image on {image['base']}: {image['digest'] or 'known after build'}")
    if why:
        _show_reasons(plan)
    if written is not None:
        click.echo(f"Written to {written}: other machines know the same from it.")
    if out is not None:
        click.echo(f"Written to {out}: `cloche deploy --plan {out}` does this and nothing else.")


def _foreseen(here: session.Session, spec: ServiceSpec, directory: Path) -> Deployment:
    from cloche import pipeline

    return pipeline.foreseen(
        spec, directory=directory, settings=here.settings, progress=here.progress
    )


def _locked(
    here: session.Session, spec: ServiceSpec, directory: Path, deployment: Deployment
) -> Path:
    from cloche import pipeline

    target = here.place.name if here.place is not None else ""
    return pipeline.write_lock(
        spec.at(target) if target else spec, deployment, target=target,
        directory=directory, settings=here.settings, progress=here.progress,
    )  # fmt: skip


def _at_place(
    here: session.Session, spec: ServiceSpec, directory: Path, out: Path | None, *, run_model: bool
) -> tuple[Deployment, DeployPlan]:
    """Return the plan of a place in a cluster; with `out` it is written there, to be kept."""
    from cloche.pipeline import plan_file

    opened, push = here.opened(), out is not None
    deployment = cluster_deploy.packaged(
        here, spec, directory, push=push, run_model=run_model or push
    )
    if out is None:
        return deployment, opened.engine.plan(deployment)
    basis = plan_file.basis_of(opened.cluster, opened.state, opened.place, deployment.service)
    planned = opened.engine.plan(deployment)
    plan_file.write(out, opened.place, deployment, planned, basis)
    return deployment, planned


def _image(here: session.Session, deployment: Deployment, base: str) -> dict[str, Any]:
    """Return what is known of the image of a deployment, for this platform."""
    from cloche.images import platforms
    from cloche.images.bases import base as bases
    from cloche.pipeline import image as images
    from cloche.pipeline import image_plan

    platform = platforms.here()
    with images.registries(os.environ) as connections:
        found = image_plan.base_of(base, platform, connections, settings=here.settings)
        if found is not None:
            bases.require_server(found, base)
        digest = found and image_plan.digest_of(deployment, found, settings=here.settings)
    return {"base": base, "platform": str(platform), "digest": digest}


def _show(plan: DeployPlan) -> None:
    for finding in plan.findings:
        click.echo(rendering.finding_text(finding))
    headline = {
        "none": f"{plan.service}: nothing would change.",
        "scale": f"{plan.service}: would be changed in place, with no new revision.",
        "update": _update(plan),
        "create": f"{plan.service}: would be created.",
    }
    click.echo(headline[plan.kind])
    width = max((len(change.field) for change in plan.changes), default=0)
    for change in plan.changes:
        click.echo(rendering.hanging(*_change(change, width)))
    if any(change.field == "lock.digest" and change.after for change in plan.changes):
        for environment in plan.environments:
            files = download_text(environment.sizes, environment.packages)
            click.echo(f"Its own environment: Python {environment.python}, {files}.")
    if plan.undetermined:
        click.echo("What is known after verification, a run of the model tells: a deploy makes it,"
                   " and `cloche plan --convert`.")  # fmt: skip
    for question in plan.questions:
        mark = click.style("?", fg="yellow", bold=True)
        click.echo(f"{mark} {question.what}")
        click.echo(f"  `cloche deploy` needs {question.flag}. {question.otherwise}")


def _update(plan: DeployPlan) -> str:
    if plan.revision is not None:
        return f"{plan.service}: the current rollout would end, and revision {plan.revision} stay."
    changed = {change.field for change in plan.changes}
    if plan.undetermined and changed <= {"revision", *plan.undetermined}:
        return f"{plan.service}: whether a new revision would take over, a run of the model tells."
    return f"{plan.service}: a new revision would take over."


def _change(change: Change, width: int) -> tuple[str, str]:
    """Return a change as the head of its line and the values."""
    mark, color = MARKS[change.kind]
    if change.before is not None and change.after is None:
        mark, color = "-", "red"
    value = rendering.value_text(change.after)
    if change.before is not None:
        value = rendering.value_text(change.before) + (
            f" → {value}" if change.after is not None else ""
        )
    return f"  {click.style(mark, fg=color)} {change.field.ljust(width)}  ", value


def _show_reasons(plan: DeployPlan) -> None:
    header = ("FIELD", "VALUE", "FROM", "WHY")
    rows = [
        (reason.field, reason.value, str(reason.origin), reason.why)
        for reason in sorted(plan.reasons, key=lambda reason: reason.field)
    ]
    click.echo()
    click.echo(rendering.table(header, rows))
