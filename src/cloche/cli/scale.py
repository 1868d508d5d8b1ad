"""`cloche scale`: the number of replicas, with no new revision."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import Finding
from cloche.cli import options, rendering, session
from cloche.errors import UnavailableError, UsageError
from cloche.spec.quantities import format_replicas

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace, ReplicaRange
    from cloche.control import ControlPlane
    from cloche.progress import Task

POLL_SECONDS = 0.5


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
        shown = format_replicas(replicas)
        said = session.recorded_on_interrupt(here, f"The change to {shown} replicas")
        with said, here.progress.task(f"Scaling {name} to {shown}") as task:
            status = status | _scaled(control, name, replicas, timeout, task)
    if as_json:
        rendering.show_json(status)
        return
    now = status["replicas"]
    click.echo(f"{name}: {format_replicas(replicas)} replicas wanted, {now['ready']} ready.")
    for finding in status.get("findings", ()):
        click.echo(rendering.finding_text(Finding(**finding)))


def _scaled(
    control: ControlPlane, name: str, replicas: ReplicaRange, timeout: float, task: Task
) -> dict[str, Any]:
    """Return the status of a service when its live revision has that many ready replicas."""
    wanted = format_replicas(replicas)
    deadline = time.monotonic() + timeout
    while True:
        status = control.service(name)
        now = status["replicas"]
        live = [each for each in now["items"] if each["revision"] == status["live"]]
        staying = sum(each["phase"] != "stopping" for each in live)
        if now["ready"] == staying and replicas.minimum <= staying <= replicas.maximum:
            return status
        if time.monotonic() > deadline:
            raise UnavailableError(
                "scale.timeout",
                f"{name} had {now['ready']} of {wanted} replicas ready after {timeout:.0f} s.",
                hint=f"`cloche status {name}` says what they wait for.",
            )
        task.note(f"{now['ready']} of {wanted} replicas are ready")
        time.sleep(POLL_SECONDS)
