"""`cloche scale`: the number of replicas, with no new revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cloche.artifacts import Finding
from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace


@click.command()
@options.service
@click.argument("replicas", type=click.IntRange(min=1, max=1000))
@options.at_target
@options.as_json
def command(*, name: str, place: KubernetesPlace | None, replicas: int, as_json: bool) -> None:
    """Run REPLICAS replicas of service NAME."""
    status = session.begin(place).control(acts_for=name).scale(name, replicas)
    if as_json:
        rendering.show_json(status)
        return
    now = status["replicas"]
    click.echo(f"{name}: {now['wanted']} replicas wanted, {now['ready']} ready.")
    for finding in status.get("findings", ()):
        click.echo(rendering.finding_text(Finding(**finding)))
