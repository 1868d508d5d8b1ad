"""`cloche delete`: stop and remove a service."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from cloche.cli import options, rendering, session
from cloche.errors import NotFoundError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import KubernetesPlace
    from cloche.cli.session import Session
    from cloche.control import ControlPlane

POLL_SECONDS = 0.2


@click.command()
@options.service
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", type=options.duration, default="2m", show_default=True,
              help="How long to wait until it is gone.")  # fmt: skip
@options.at_target
@options.as_json
def command(
    *,
    name: str,
    place: KubernetesPlace | None,
    yes: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Stop and remove service NAME with all its replicas and its history."""
    here = session.begin(place)
    control = here.control(acts_for=name)
    replicas = control.service(name)["replicas"]["ready"]
    if not yes and not _confirm(name, replicas):
        click.echo("Nothing was deleted.", err=True)
        return 1
    removed = _in_registry(here, name)
    control.delete(name)
    said = session.recorded_on_interrupt(here, f"The deletion of {name}")
    with said, here.progress.task(f"Removing {name}"):
        deadline = time.monotonic() + timeout
        while _exists(control, name):
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "delete.timeout",
                    f"{name} was not gone after {timeout:.0f} s.",
                    hint="It goes on in the control plane; `cloche status` shows it."
                    if place is None
                    else "The same command goes on with it; `cloche status` shows what is left.",
                )
            time.sleep(POLL_SECONDS)
        removed()
    result = {"service": name, "deleted": True}
    rendering.show_json(result) if as_json else click.echo(f"{name} is gone.")
    return 0


def _in_registry(here: Session, name: str) -> Callable[[], None]:
    """Return what removes the tags of a service from the registry of its place, once it is gone."""
    if here.place is None:
        return lambda: None
    from cloche.pipeline import cluster_tags

    return cluster_tags.removal(here.opened(), name)


def _confirm(name: str, replicas: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "usage.confirmation",
            f"Deleting {name} needs confirmation, and there is no terminal to ask on.",
            hint="Add --yes.",
        )
    question = f"Delete {name} with its {replicas} running replicas and its history?"
    return click.confirm(question, err=True)


def _exists(control: ControlPlane, name: str) -> bool:
    try:
        control.service(name)
    except NotFoundError:
        return False
    return True
