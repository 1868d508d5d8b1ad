"""`cloche image`: make, show and copy images.

Each verb is imported when it is called: a build with nothing new takes less than importing all.
"""

from __future__ import annotations

import importlib

import click

VERBS = {
    "base": "base",
    "build": "build",
    "inspect": "inspect",
    "copy": "copy",
    "push": "copy",
    "pull": "copy",
    "diff": "diff",
    "run": "run",
}
"""Verbs, each with the module that has it."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"cloche.cli.image.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Verbs)
def command() -> None:
    """Make, show, copy and compare images with no Docker daemon, and try them in an engine."""
