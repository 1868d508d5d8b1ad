"""`cloche logs`: the logs of a service's replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace


@click.command()
@options.service
@click.option("-f", "--follow", is_flag=True, help="Follow new lines until ctrl-C.")
@click.option("--lines", type=click.IntRange(min=0), default=100, show_default=True,
              help="Number of last lines of each replica to begin with.")  # fmt: skip
@click.option("--revision", type=click.IntRange(min=1), help="Only this revision's replicas.")
@options.at_target
@options.as_json
def command(
    *,
    name: str,
    place: KubernetesPlace | None,
    follow: bool,
    lines: int,
    revision: int | None,
    as_json: bool,
) -> None:
    """Show the logs of the replicas of service NAME."""
    control = session.begin(place).control()
    for replica, line in control.logs(name, lines=lines, follow=follow, revision=revision):
        if as_json:
            rendering.show_json({"replica": replica, "line": line})
        else:
            click.echo(f"{replica} | {line}")
