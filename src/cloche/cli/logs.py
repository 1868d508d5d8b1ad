"""`cloche logs`: the logs of a service's replicas, of the gateway and of the control plane."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import click

from cloche.cli import options, rendering, session
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloche.artifacts import KubernetesPlace
    from cloche.home import HomeLayout

_AHEAD = 1000


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--gateway", is_flag=True, help="The log of the gateway.")
@click.option("--control-plane", is_flag=True, help="The log of the control plane.")
@click.option("-f", "--follow", is_flag=True, help="Follow new lines until ctrl-C.")
@click.option("--lines", type=click.IntRange(min=0), default=100, show_default=True,
              help="Number of last lines of each log to begin with.")  # fmt: skip
@click.option("--revision", type=click.IntRange(min=1), help="Only this revision's replicas.")
@options.at_target
@options.as_json
def command(
    *,
    name: str | None,
    gateway: bool,
    control_plane: bool,
    place: KubernetesPlace | None,
    follow: bool,
    lines: int,
    revision: int | None,
    as_json: bool,
) -> None:
    """Show the logs of the replicas of service NAME, of the gateway and of the control plane.

    Several together are told apart by what a line begins with. The tables of options that Triton
    prints at its start are left out; the files in CLOCHE_HOME/logs have them.
    """
    here = session.begin(place)
    _require_a_log(name, revision, place, of_machine=gateway or control_plane)
    parts: list[Iterator[tuple[str, str]]] = []
    if gateway or control_plane:
        here.require_deployed()
        layout = here.settings.layout
        parts.append(_of_machine(layout, lines, follow, gateway=gateway, control=control_plane))
    if name is None:
        _show(parts, as_json=as_json)
        return
    with here.reading() as control:
        parts.append(control.logs(name, lines=lines, follow=follow, revision=revision))
        _show([_together(parts)] if follow and len(parts) > 1 else parts, as_json=as_json)


def _require_a_log(
    name: str | None, revision: int | None, place: KubernetesPlace | None, *, of_machine: bool
) -> None:
    """Raise UsageError for options that name no log."""
    if place is not None and of_machine:
        what = "In a cluster, the gateway is the cluster's, and no control plane of Cloche runs."
        raise UsageError("usage.logs", what, hint="Leave --target out, or name a service alone.")
    if name is None and not of_machine:
        what = "Neither a service nor another log is named."
        hint = "Name a service, --gateway or --control-plane; `cloche status` lists the services."
        raise UsageError("usage.logs", what, hint=hint)
    if name is None and revision is not None:
        what = "--revision was given without a service."
        raise UsageError("usage.logs", what, hint="Name the service.")


def _of_machine(
    layout: HomeLayout, lines: int, follow: bool, *, gateway: bool, control: bool
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the logs of a home's own processes, whether they run or not."""
    from cloche.targets.local import logs

    def found() -> dict[str, Path]:
        own = {"control-plane": layout.log("control")} if control else {}
        return (logs.of_gateway(layout.logs) if gateway else {}) | own

    if follow:
        yield from logs.follow(found, lines=lines)
        return
    for name, log in found().items():
        yield from ((name, line) for line in logs.tail(log, lines))


def _together(parts: Sequence[Iterator[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """Yield the lines of several logs as they come; a thread reads each.

    The first that ends, or fails, ends all.
    """
    arrived: queue.Queue[tuple[str, str] | Exception | None] = queue.Queue(_AHEAD)

    def read(part: Iterator[tuple[str, str]]) -> None:
        try:
            for line in part:
                arrived.put(line)
            arrived.put(None)
        except Exception as error:  # noqa: BLE001  (it is raised where the lines are read)
            arrived.put(error)

    for part in parts:
        threading.Thread(target=read, args=(part,), name="cloche-logs", daemon=True).start()
    while (item := arrived.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


def _show(parts: Sequence[Iterator[tuple[str, str]]], *, as_json: bool) -> None:
    for part in parts:
        for replica, line in part:
            if not replica:
                continue
            if as_json:
                rendering.show_json({"replica": replica, "line": line})
            else:
                click.echo(f"{replica} | {line}")
