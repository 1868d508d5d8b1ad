"""`cloche serve`: the control plane in the foreground."""

from __future__ import annotations

import os

import click

from cloche.cli import session
from cloche.clients.control.process_protocol import COMMAND


@click.command()
def command() -> None:
    """Run the control plane in the foreground, until ctrl-C or `cloche down`.

    `cloche deploy` starts one in the background when none runs. Services go on without it.
    """
    session.begin()  # raises for invalid settings
    # The process becomes the control plane, without the command line in memory.
    os.execv(COMMAND[0], COMMAND)  # noqa: S606
