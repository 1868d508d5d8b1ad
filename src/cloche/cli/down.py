"""`cloche down`: end everything that runs under CLOCHE_HOME."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from cloche.clients.control.client import ControlClient


@click.command()
@options.as_json
def command(*, as_json: bool) -> None:
    """Stop all replicas, the gateway and the control plane of this CLOCHE_HOME.

    Services, revisions and the cache stay on record; `cloche serve` brings the services back.
    """
    here = session.begin()
    with here.progress.step("Stopping"):
        ended = end(here)
    if as_json:
        rendering.show_json({"home": str(here.settings.home), "ended": ended})
    else:
        _show(ended)


def end(here: session.Session) -> dict[str, Any]:
    """Ask the control plane; where it is dead, end what it left running."""
    from cloche.clients.control import client as control

    if not here.deployed():
        return {"replicas": [], "gateway": None, "control": None}
    try:
        running = control.connect(here.settings, any_version=True)
    except control.NotRunningError:
        return _end_without_control(here)
    with running:
        return _end_through(running)


def _end_through(control: ControlClient) -> dict[str, Any]:
    status = control.status()
    replicas = [item for service in status["services"] for item in service["replicas"]["items"]]
    ended = {
        "replicas": [{"id": item["id"], "pid": item["pid"]} for item in replicas],
        "gateway": status["gateway"]["pid"],
        "control": control.health()["pid"],
    }
    control.down()
    return ended


def _end_without_control(here: session.Session) -> dict[str, Any]:
    from cloche import composition as opening

    target = opening.target(here.settings)
    seen = target.observe()
    target.down()
    return {
        "replicas": [{"id": replica.id, "pid": replica.pid} for replica in seen.replicas],
        "gateway": seen.gateway.pid,
        "control": None,
    }


def _show(ended: dict[str, Any]) -> None:
    lines = [f"replica {replica['id']}" for replica in ended["replicas"]]
    lines += [f"gateway (process {ended['gateway']})"] if ended["gateway"] else []
    lines += [f"control plane (process {ended['control']})"] if ended["control"] else []
    if not lines:
        click.echo("Nothing was running.")
    for line in lines:
        click.echo(f"Ended {line}.")
