"""`cloche verify`: replay the golden request of a revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Deployment, Golden, KubernetesPlace, TensorDifference, Verification


@click.command()
@options.service
@click.option("--url", metavar="URL",
              help="Base URL of any Triton that serves the same repository.")  # fmt: skip
@click.option("--revision", type=click.IntRange(min=1), help="Default: the live one.")
@options.example
@options.at_target
@options.as_json
def command(
    *,
    name: str,
    place: KubernetesPlace | None,
    url: str | None,
    revision: int | None,
    example: Path | None,
    as_json: bool,
) -> int:
    """Replay the golden request of service NAME, and compare the answer with the expected one.

    Without --url a running replica answers, and the outcome is kept with the revision. With
    --example another request is sent, and the model's own framework says what is right.
    """
    from cloche.artifacts import to_builtins

    here = session.begin(place)
    control, golden = here.control(), None
    if example is not None:
        number = revision or control.service(name)["revision"]
        golden = _golden(here, control.revision(name, number).deployment, example)
    verification = control.verify(name, url=url, revision=revision, golden=golden)
    if as_json:
        rendering.show_json({"service": name, **to_builtins(verification)})
    else:
        show(name, verification)
    return 0 if verification.passed else 1


def _golden(here: session.Session, deployment: Deployment, example: Path) -> Golden:
    from cloche import pipeline

    return pipeline.golden(deployment, example, settings=here.settings, progress=here.progress)


def show(name: str, verification: Verification) -> None:
    """Print the outcome of a golden request."""
    outcome = "passed" if verification.passed else "FAILED"
    click.echo(f"{name}: {outcome} ({verification.duration_ms:.1f} ms) at {verification.url}")
    judged = rendering.judged_text(
        verification.origin, verification.judge, verification.answer_from
    )
    click.echo(f"  {judged[0].upper()}{judged[1:]}. {verification.why or ''}".rstrip())
    if verification.detail:
        click.echo(f"  {verification.detail}")
    header = ("OUTPUT", "LARGEST DIFFERENCE", "RELATIVE", "TOLERANCE", "")
    rows = [
        (
            output.name, _number(output.max_absolute), _number(output.max_relative),
            _tolerance(output), output.detail or "",
        )
        for output in verification.outputs
    ]  # fmt: skip
    if rows:
        click.echo(rendering.table(header, rows))


def _tolerance(output: TensorDifference) -> str:
    if output.max_absolute is None:
        return "-"
    return f"{output.absolute_tolerance:.3g}" if output.absolute_tolerance else "the same"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
