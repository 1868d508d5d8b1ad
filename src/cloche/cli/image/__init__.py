"""`cloche image`: make, show and copy images. Each verb is the module of its name."""

from __future__ import annotations

import click

from cloche.cli.image import base, build, copy, diff, inspect, run


@click.group()
def command() -> None:
    """Make, show, copy and compare images with no Docker daemon, and try them in an engine."""


command.add_command(base.base)
command.add_command(build.build)
command.add_command(inspect.inspect)
command.add_command(copy.copy)
command.add_command(copy.push)
command.add_command(copy.pull)
command.add_command(diff.diff)
command.add_command(run.run)
