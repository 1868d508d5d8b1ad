"""`cloche deploy`: from a model reference to a verified, live revision."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.artifacts import Revision
    from cloche.clients.control.client import ControlClient
    from cloche.clients.control.launch import Launched
    from cloche.pipeline import Prepared
    from cloche.spec import ServiceSpec


@click.command()
@options.model
@options.file
@options.name
@click.option("--wait/--no-wait", default=True, help="Wait until the revision is live (default).")
@click.option(
    "--timeout",
    type=options.duration,
    default="10m",
    show_default=True,
    help="How long to wait for the rollout.",
)
@options.as_json
def command(
    *,
    model: str | None, file: Path | None, name: str | None, wait: bool, timeout: float,
    as_json: bool,
) -> int:  # fmt: skip
    """Serve MODEL, verified, behind the gateway.

    MODEL is a file or folder (./model.onnx) or a model of an MLflow registry
    (models:/digits@champion). Without MODEL, ./cloche.yaml or the file named by -f is read.
    """
    from cloche import cache
    from cloche.cli import specification

    here = session.begin()
    with _unrecorded():
        spec, directory = specification.chosen(model, file, name)
        launched = here.launch()
    with cache.under_way(here.settings):
        with _unrecorded():
            prepared = prepare(here, spec, directory)
        result, revision = roll_out(here, prepared, launched, wait=wait, timeout=timeout)
    return _conclude(result, revision, as_json)


def prepare(here: session.Session, spec: ServiceSpec, directory: Path) -> Prepared:
    """Take a spec to a repository in the store; its paths start from `directory`."""
    from cloche import pipeline

    return pipeline.prepare(
        spec, directory=directory, settings=here.settings, progress=here.progress
    )


def roll_out(
    here: session.Session,
    prepared: Prepared,
    launched: Launched | None = None,
    *,
    wait: bool,
    timeout: float,
) -> tuple[dict[str, Any], Revision]:
    """Hand a prepared model to the control plane; return the documented object and the revision."""
    from cloche import pipeline

    with _unrecorded():
        pipeline.provision(prepared, settings=here.settings, progress=here.progress)
        control = here.started_control(launched)
    service = prepared.spec.service_name
    answer = control.deploy(prepared.deployment())
    change, number = answer["change"], int(answer["revision"])
    with _recorded(service, number):
        revision = control.revision(service, number)
        if wait and not revision.phase.ended:
            _follow(here, service, number, timeout)
            control = here.started_control()
            revision = control.revision(service, number)
        return _result(control, revision, change), revision


@contextmanager
def _unrecorded() -> Iterator[None]:
    """Say after ctrl-C that nothing is deployed, as long as that is so."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nNothing was deployed; what was fetched stays in the cache.", err=True)
        raise


@contextmanager
def _recorded(service: str, number: int) -> Iterator[None]:
    """Say after ctrl-C that the rollout does not end with the command."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"\nRevision {number} of {service} is recorded and goes on in the control plane.\n"
            f"See it with `cloche status`; `cloche logs {service} -f` follows its logs.",
            err=True,
        )
        raise


def _follow(here: session.Session, service: str, number: int, timeout: float) -> None:
    from cloche.clients.control.rollout_events import follow

    with here.progress.step(f"Rolling out revision {number} of {service}") as step:
        for event in follow(here.started_control, service, number, timeout=timeout):
            step.note(event.what)


def _result(control: ControlClient, revision: Revision, change: str) -> dict[str, Any]:
    """Return the documented object that `cloche deploy --json` ends with."""
    from cloche.artifacts import model_view, to_builtins

    status = control.service(revision.service)
    return {
        "service": revision.service,
        "revision": revision.number,
        "phase": str(revision.phase),
        "change": change,
        "model": model_view(revision.deployment.snapshot),
        "http": status["http"],
        "grpc": status["grpc"],
        "verification": to_builtins(revision.verification),
        "replicas": {key: status["replicas"][key] for key in ("wanted", "ready")},
        "failure": revision.failure,
    }


def _conclude(result: dict[str, Any], revision: Revision, as_json: bool) -> int:
    """Print the result; a failed rollout is an error that carries it."""
    from cloche.cli import rendering
    from cloche.clients.control.rollout_events import error_of

    error = error_of(revision)
    if error is None:
        rendering.show_json(result) if as_json else _show(result)
        return 0
    if not as_json:
        raise error
    rendering.show_json(result | {"error": error.to_dict()})
    return error.exit_code


def _show(result: dict[str, Any]) -> None:
    from cloche.cli import rendering

    service, number = result["service"], result["revision"]
    click.echo(
        {
            "none": f"Nothing changed: {service} is at revision {number} ({result['phase']}).",
            "scaled": f"{service} stays at revision {number}; its replicas changed.",
        }.get(result["change"], f"{service} revision {number} is {result['phase']}.")
    )
    click.echo(
        rendering.fields(
            [
                ("model", result["model"]["pinned"]),
                ("verified", rendering.verification_text(result["verification"])),
                ("http", result["http"]),
                ("grpc", result["grpc"]),
            ]
        )
    )
    if result["change"] != "none":
        click.echo(f"Try it: cloche infer {service} --example")
