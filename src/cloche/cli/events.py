"""`cloche events`: what happened, to a service or to all, and who asked for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cloche import refusals
from cloche.cli import options, rendering, session
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import Event, KubernetesPlace
    from cloche.control import ControlPlane

WAIT_SECONDS = 1.0


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow new events until ctrl-C.")
@click.option("--lines", type=click.IntRange(min=0), default=50, show_default=True,
              help="Number of last events to begin with.")  # fmt: skip
@options.at_target
@options.as_json
def command(
    *, name: str | None, place: KubernetesPlace | None, follow: bool, lines: int, as_json: bool
) -> None:
    """Show what happened to the services, or to the one named NAME, oldest first.

    With --json each event is a line of its own.
    """
    here = session.begin(place)
    with here.reading() as control:
        if name is not None:
            control.service(name)
        past = _past(control, name)
    for event in past[len(past) - min(lines, len(past)) :]:
        _show(event, as_json=as_json)
    if not follow:
        return
    for event in _new(here, name, past[-1].cursor if past else ""):
        _show(event, as_json=as_json)


def _past(control: ControlPlane, name: str | None) -> list[Event]:
    past: list[Event] = []
    while found := control.events(name, after=past[-1].cursor if past else ""):
        past += found
    return past


def _new(here: session.Session, name: str | None, after: str) -> Iterator[Event]:
    """Yield new events; those of one control plane after another, as they come and go."""
    if here.is_down():
        click.echo(f"{refusals.ENDED} New events come after `cloche up`.", err=True)
    control: ControlPlane | None = None
    while True:
        try:
            control = control or (None if here.is_down() else here.control())
            if control is None:
                time.sleep(WAIT_SECONDS)
                continue
            found = control.events(name, after=after, wait=WAIT_SECONDS)
        except ClocheError as error:
            if here.place is not None or not error.retriable:
                raise
            control = None  # it ends, or is started again
            time.sleep(WAIT_SECONDS)
            continue
        for event in found:
            after = event.cursor
            yield event


def _show(event: Event, *, as_json: bool) -> None:
    if as_json:
        rendering.show_json(_view(event))
        return
    by = f" ({event.by})" if event.by else ""
    when = event.at.partition(".")[0] + "Z" if event.at.endswith("+00:00") else event.at
    click.echo(rendering.hanging(f"{when}  {event.service}  ", f"{event.what}{by}"))


def _view(event: Event) -> dict[str, Any]:
    from cloche.artifacts import to_builtins

    view: dict[str, Any] = to_builtins(event)
    return view
