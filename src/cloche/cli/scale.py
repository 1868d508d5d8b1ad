"""`cloche scale`: the number of replicas, with no new revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import Finding
from cloche.cli import options, rendering, session
from cloche.cli.waiting import Look, late, until_done
from cloche.errors import UsageError
from cloche.spec.quantities import format_replicas

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace, ReplicaRange
    from cloche.control import ControlPlane
    from cloche.progress import Task


@click.command()
@options.service
@click.argument("replicas", type=options.replicas)
@click.option("--wait/--no-wait", default=None,
              help="Whether to wait until they are ready; at a target it always does.")  # fmt: skip
@click.option("--timeout", type=options.duration, default="10m", show_default=True,
              help="How long to wait for that.")  # fmt: skip
@options.at_target
@options.as_json
def command(
    *,
    name: str,
    place: KubernetesPlace | None,
    replicas: ReplicaRange,
    wait: bool | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Run REPLICAS replicas of service NAME: a number, or MIN..MAX of one that is autoscaled.

    With --wait, and at a target, the command waits until they are ready, at most --timeout.
    """
    if place is not None and wait is False:
        what = "At a target the command itself carries the change out, so it waits."
        raise UsageError("usage.scale", what, hint="Leave --no-wait out.")
    here = session.begin(place)
    control = here.control(acts_for=name)
    status = control.scale(name, replicas.minimum if replicas.fixed else replicas)
    if place is not None or wait:
        shown = rendering.count_text(format_replicas(replicas), "replica")
        said = session.recorded_on_interrupt(here, f"The change to {shown}")
        with said, here.progress.task(f"Scaling {name} to {shown}") as task:
            status = status | _scaled(control, name, replicas, timeout, task)
    if as_json:
        rendering.show_json(status)
        return
    now = status["replicas"]
    wanted = rendering.count_text(format_replicas(replicas), "replica")
    click.echo(f"{name}: {wanted} wanted, {now['ready']} ready.")
    for finding in status.get("findings", ()):
        click.echo(rendering.finding_text(Finding(**finding)))


def _scaled(
    control: ControlPlane, name: str, replicas: ReplicaRange, timeout: float, task: Task
) -> dict[str, Any]:
    """Return the status of a service when its live revision has that many ready replicas."""
    wanted = rendering.count_text(format_replicas(replicas), "replica")

    def look() -> Look:
        status = control.service(name)
        now = status["replicas"]
        live = [each for each in now["items"] if each["revision"] == status["live"]]
        staying = sum(each["phase"] != "stopping" for each in live)
        fits = replicas.minimum <= staying <= replicas.maximum
        return Look(status, now["ready"] == staying and fits, f"{now['ready']} of {wanted} ready")

    hint = f"`cloche status {name}` says what they wait for."
    return until_done(
        look, task, timeout, lambda found: late("scale.timeout", found, name, timeout, hint)
    )
