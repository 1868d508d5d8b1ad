"""`cloche doctor`: checks of this machine, each finding with its remedy."""

from __future__ import annotations

import os

import click

from cloche import settings as machine
from cloche.cli import options, progress, rendering
from cloche.cli.doctor.checks import CHECKS, Outcome, State
from cloche.errors import ClocheError, ErrorGroup
from cloche.home import default_home

MARKS = {State.OK: ("✓", "green"), State.WARNING: ("!", "yellow"), State.FAILED: ("✗", "red")}


@click.command()
@options.as_json
def command(*, as_json: bool) -> int:
    """Check the platform, tools, home folder, ports and running processes."""
    outcomes = _examine()
    worst_failed = any(outcome.state is State.FAILED for outcome in outcomes)
    if as_json:
        checks = [outcome.to_dict() for outcome in outcomes]
        rendering.show_json({"ok": not worst_failed, "checks": checks})
    else:
        width = max(len(outcome.name) for outcome in outcomes)
        for outcome in outcomes:
            _show(outcome, width)
    return 1 if worst_failed else 0


def _examine() -> list[Outcome]:
    try:
        settings = machine.load()
        outcomes = [Outcome("settings", State.OK, f"Read for {settings.home}.")]
    except ClocheError as error:
        settings = machine.Settings(home=default_home(os.environ))
        outcomes = _of_error("settings", error)
    shown = progress.for_terminal()
    for name, check in CHECKS:
        with shown.task(f"Checking {name}"):
            try:
                outcomes.append(check(settings))
            except ClocheError as error:
                outcomes += _of_error(name, error)
    return outcomes


def _of_error(name: str, error: ClocheError) -> list[Outcome]:
    members = error.errors if isinstance(error, ErrorGroup) else (error,)
    return [
        Outcome(name, State.FAILED, member.what, member.hint, member.where) for member in members
    ]


def _show(outcome: Outcome, width: int) -> None:
    mark, color = MARKS[outcome.state]
    click.echo(f"{click.style(mark, fg=color)} {outcome.name.ljust(width)}  {outcome.what}")
    indent = " " * (width + 4)
    if outcome.where:
        click.echo(f"{indent}where: {outcome.where}")
    if outcome.hint:
        click.echo(f"{indent}hint: {outcome.hint}")
