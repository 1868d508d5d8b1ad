"""`cloche export`: files that work with no Cloche. Each verb is the module of its name."""

from __future__ import annotations

import click

from cloche.cli.export import dockerfile


@click.group()
def command() -> None:
    """Write what other builders make the image of a service from."""


command.add_command(dockerfile.dockerfile)
