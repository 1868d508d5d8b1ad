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
    session.begin()  # says what is wrong with the settings, if anything is
    # The same process goes on as the control plane, with nothing of the command line in its memory.
    os.execv(COMMAND[0], COMMAND)  # noqa: S606
