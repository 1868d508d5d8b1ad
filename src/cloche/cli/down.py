"""`cloche down`: stop everything that runs under CLOCHE_HOME."""

from __future__ import annotations

from typing import Any

import click

from cloche.cli import options, rendering, session


@click.command()
@options.as_json
def command(*, as_json: bool) -> None:
    """Stop all replicas, the gateway and the control plane of this CLOCHE_HOME.

    Services, revisions and the cache stay on record; `cloche up` brings the services back.
    """
    from cloche.client import Client

    here = session.begin()
    with here.progress.task("Stopping"):
        ended = Client().down()
    if as_json:
        rendering.show_json({"home": str(here.settings.home), "ended": ended})
    else:
        _show(ended)


def _show(ended: dict[str, Any]) -> None:
    lines = [f"replica {replica['id']}" for replica in ended["replicas"]]
    lines += [f"gateway (process {pid})" for pid in ended["gateway_processes"]]
    lines += [f"control plane (process {ended['control']})"] if ended["control"] else []
    if not lines:
        click.echo("Nothing was running.")
    for line in lines:
        click.echo(f"Ended {line}.")
