"""`cloche doctor`: checks of this machine or of a place in a cluster, each with its remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloche import settings as machine
from cloche.cli import options, progress, rendering
from cloche.cli.doctor.checks import CHECKS, Outcome, State
from cloche.errors import ClocheError, ErrorGroup, UsageError
from cloche.home import default_home

if TYPE_CHECKING:
    from cloche.cli.doctor.cluster import Check, Context, Found

MARKS = {State.OK: ("✓", "green"), State.WARNING: ("!", "yellow"), State.FAILED: ("✗", "red")}


@click.command()
@options.target
@options.file
@click.option("--pull", is_flag=True,
              help="Also push a tiny image and have a node pull it, by a Job.")  # fmt: skip
@options.as_json
def command(*, target: str | None, file: Path | None, pull: bool, as_json: bool) -> int:
    """Check this machine: its platform, tools, home folder, ports and processes.

    With --target, check that place in a cluster instead, for the service of the cloche.yaml: its
    version, your rights, quotas, autoscaling, the registry, and each node with GPUs: whether its
    driver runs the image, and how many are free.
    """
    if target is None:
        _refuse_without_target(file, pull=pull)
        outcomes = _examine()
    else:
        outcomes = _examine_place(target, file, pull=pull)
    worst_failed = any(outcome.state is State.FAILED for outcome in outcomes)
    if as_json:
        checks = [outcome.to_dict() for outcome in outcomes]
        rendering.show_json({"ok": not worst_failed, "checks": checks})
    else:
        width = max(len(outcome.name) for outcome in outcomes)
        for outcome in outcomes:
            _show(outcome, width)
    return 1 if worst_failed else 0


def _refuse_without_target(file: Path | None, *, pull: bool) -> None:
    given = [name for name, value in (("-f", file), ("--pull", pull)) if value]
    if given:
        what = f"{' and '.join(given)} is for a place in a cluster."
        raise UsageError("usage.doctor", what, hint="Name the place with --target.")


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


def _examine_place(target: str, file: Path | None, *, pull: bool) -> list[Outcome]:
    from cloche.cli import specification
    from cloche.cli.doctor import cluster

    spec, _ = specification.chosen(None, file, None)
    place, shown = spec.place(target, file), progress.for_terminal()
    checks = (*cluster.CHECKS, cluster.PULLING) if pull else cluster.CHECKS
    outcomes: list[Outcome] = []
    with cluster.opened(spec, place, shown) as context:
        for name, check in checks:
            with shown.task(f"Checking {name}"):
                outcomes += _found(name, check, context)
            if name == checks[0][0] and outcomes[-1].state is State.FAILED:
                break  # nothing else can be asked of it
    return outcomes


def _found(name: str, check: Check, context: Context) -> list[Outcome]:
    """Return what a check finds, up to where it cannot go on."""
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(_outcome(name, each) for each in check(context))
    except ClocheError as error:
        outcomes += _of_error(name, error)
    return outcomes


def _outcome(name: str, found: Found) -> Outcome:
    if isinstance(found, str):
        return Outcome(name, State.OK, found)
    states = {"error": State.FAILED, "warning": State.WARNING, "note": State.OK}
    return Outcome(name, states[found.severity], found.what, found.hint, found.where)


def _of_error(name: str, error: ClocheError) -> list[Outcome]:
    members = error.errors if isinstance(error, ErrorGroup) else (error,)
    return [
        Outcome(name, State.FAILED, member.what, member.hint, member.where) for member in members
    ]


def _show(outcome: Outcome, width: int) -> None:
    mark, color = MARKS[outcome.state]
    head = f"{click.style(mark, fg=color)} {outcome.name.ljust(width)}  "
    click.echo(rendering.hanging(head, outcome.what))
    indent = " " * (width + 4)
    if outcome.where:
        click.echo(rendering.hanging(f"{indent}where: ", outcome.where))
    if outcome.hint:
        click.echo(rendering.hanging(f"{indent}hint: ", outcome.hint))
