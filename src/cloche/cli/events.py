"""`cloche events`: what happened, to a service or to all, and who asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session

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
    control = session.begin(place).control()
    if name is not None:
        control.service(name)
    for event in _events(control, name, lines, follow=follow):
        if as_json:
            rendering.show_json(_view(event))
        else:
            click.echo(_line(event))


def _events(
    control: ControlPlane, name: str | None, lines: int, *, follow: bool
) -> Iterator[Event]:
    """Yield the last events, then new ones with `follow`."""
    past: list[Event] = []
    while found := control.events(name, after=past[-1].cursor if past else ""):
        past += found
    yield from past[len(past) - min(lines, len(past)) :]
    after = past[-1].cursor if past else ""
    while follow:
        for event in control.events(name, after=after, wait=WAIT_SECONDS):
            after = event.cursor
            yield event


def _view(event: Event) -> dict[str, Any]:
    from cloche.artifacts import to_builtins

    view: dict[str, Any] = to_builtins(event)
    return view


def _line(event: Event) -> str:
    by = f" ({event.by})" if event.by else ""
    return f"{event.at}  {event.service}  {event.what}{by}"
