"""`cloche serve`: the control plane in the foreground, or as a unit of systemd."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cloche.cli import session
from cloche.clients.control.process_protocol import COMMAND
from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.settings import Settings


@click.command()
@click.option("--install", is_flag=True,
              help="Have systemd start it, also after a crash and a reboot.")  # fmt: skip
@click.option("--uninstall", is_flag=True, help="Take that back; services run on.")
def command(*, install: bool, uninstall: bool) -> None:
    """Run the control plane in the foreground, until ctrl-C or `cloche down`.

    `cloche deploy` starts one in the background when none runs, with a process that starts it
    again when it dies. Services go on without it. With --install systemd runs it: as root as a
    unit of the system, else as one of yours.
    """
    here = session.begin()  # raises for invalid settings
    if install and uninstall:
        what = "--install and --uninstall exclude each other."
        raise UsageError("usage.serve", what, hint="Give one of them.")
    if install:
        _install(here.settings)
    elif uninstall:
        _uninstall(here.settings)
    else:
        # The process becomes the control plane, without the command line in memory.
        os.execv(COMMAND[0], COMMAND)  # noqa: S606


def _install(settings: Settings) -> None:
    from cloche.clients import systemd
    from cloche.clients.control import finding

    systemd.require()
    finding.end_alone(settings)  # systemd starts its own, which takes over what runs
    unit = systemd.install(settings)
    click.echo(f"systemd runs the control plane: {unit.name} ({unit.path}).")
    why = systemd.linger() if unit.user else None
    click.echo(why or "It is started again after a crash, and after a reboot.")


def _uninstall(settings: Settings) -> None:
    from cloche.clients import systemd

    unit = systemd.uninstall(settings)
    if unit is None:
        click.echo("systemd runs no control plane of this home.")
        return
    click.echo(f"{unit.name} is gone. What was served runs on; the next command keeps it again.")
