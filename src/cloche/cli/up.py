"""`cloche up`: what was served before `cloche down`, or before a reboot, is served again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.cli.waiting import Look, until_done
from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from cloche.control import ControlPlane
    from cloche.progress import Task


@click.command()
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Whether to wait until every service answers.")  # fmt: skip
@click.option("--timeout", type=options.duration, default="10m", show_default=True,
              help="How long to wait for that.")  # fmt: skip
@options.as_json
def command(*, wait: bool, timeout: float, as_json: bool) -> None:
    """Serve again what was served before `cloche down`, from what is kept: no registry is asked.

    Each service comes back with its live revision and its number of replicas.
    """
    here = session.begin()
    here.require_deployed()
    control = here.started_control()
    status = control.status()
    if wait:
        with here.progress.task("Starting what was served") as task:
            status = _ready(control, timeout, task)
    if as_json:
        rendering.show_json(status)
        return
    services = [each for each in status["services"] if each["live"] is not None]
    served = rendering.count_text(len(services), "service")
    click.echo(f"{status['gateway']['http']} serves {served}.")
    for each in services:
        now = each["replicas"]
        wanted = rendering.count_text(now["wanted"], "replica")
        click.echo(f"  {each['service']}: {now['ready']} of {wanted} ready")


def _ready(control: ControlPlane, timeout: float, task: Task) -> dict[str, Any]:
    """Return the status of all services once each live revision has its replicas."""

    def look() -> Look:
        status: dict[str, Any] = control.status()
        waiting = _waiting(status)
        count = len(status["services"])
        so_far = f"{count - len(waiting)} of {rendering.count_text(count, 'service')} ready"
        return Look(status, status["gateway"]["ready"] and not waiting, so_far)

    def late(found: Look) -> UnavailableError:
        named = ", ".join(_waiting(found.status)) or "the gateway"
        return UnavailableError(
            "up.timeout",
            f"Not ready after {timeout:.0f} s: {named}.",
            where=found.status["gateway"]["http"],
            hint="It goes on. `cloche status` says what they wait for.",
        )

    return until_done(look, task, timeout, late)


def _waiting(status: dict[str, Any]) -> list[str]:
    return [each["service"] for each in status["services"] if not _answers(each)]


def _answers(service: dict[str, Any]) -> bool:
    """Return whether a service answers as it should; one that never went live has nothing to."""
    now = service["replicas"]
    return service["live"] is None or now["ready"] >= now["wanted"]
