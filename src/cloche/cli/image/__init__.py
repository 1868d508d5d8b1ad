"""`cloche image`: make and show the image of a service. Each verb is the module of its name."""

from __future__ import annotations

import click

from cloche.cli.image import base, build, inspect, run


@click.group()
def command() -> None:
    """Make and show the image of a service, with no Docker daemon, and try it in an engine."""


command.add_command(base.base)
command.add_command(build.build)
command.add_command(inspect.inspect)
command.add_command(run.run)
