"""`cloche scale`: the number of replicas, with no new revision."""

from __future__ import annotations

import click

from cloche.artifacts import Finding
from cloche.cli import options, rendering, session


@click.command()
@options.service
@click.argument("replicas", type=click.IntRange(min=1, max=1000))
@options.as_json
def command(*, name: str, replicas: int, as_json: bool) -> None:
    """Run REPLICAS replicas of service NAME."""
    status = session.begin().control().scale(name, replicas)
    if as_json:
        rendering.show_json(status)
        return
    now = status["replicas"]
    click.echo(f"{name}: {now['wanted']} replicas wanted, {now['ready']} ready.")
    for finding in status.get("findings", ()):
        click.echo(rendering.finding_text(Finding(**finding)))
