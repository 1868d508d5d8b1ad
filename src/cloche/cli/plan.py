"""`cloche plan`: what a deploy would change, and why the values are what they are."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import deploy, options, rendering, session, specification

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.pipeline import Prepared
    from cloche.plan import Change, Plan

MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "scale": ("~", "yellow")}


@click.command()
@options.model
@options.file
@options.name
@click.option("--why", is_flag=True, help="Show where every generated value comes from.")
@options.as_json
def command(
    *, model: str | None, file: Path | None, name: str | None, why: bool, as_json: bool
) -> None:
    """Show what `cloche deploy` would change, and change nothing.

    Needs no control plane; the model is resolved, inspected and kept in the cache.
    """
    here = session.begin()
    prepared = deploy.prepare(here, *specification.chosen(model, file, name))
    plan = _plan(here, prepared)
    if as_json:
        from cloche.artifacts import to_builtins

        rendering.show_json(to_builtins(plan))
        return
    _show(plan)
    if why:
        _show_reasons(plan)


def _plan(here: session.Session, prepared: Prepared) -> Plan:
    """Compare with the recorded state, read from its file."""
    from cloche import composition as opening
    from cloche import plan as plans

    deployment = prepared.deployment()
    if not here.deployed():
        return plans.make(deployment, None)
    with closing(opening.state(here.settings)) as state:
        record = state.service(deployment.service)
        if record is None or record.deleting:
            return plans.make(deployment, None)
        wanted = state.revision(deployment.service, record.wanted)
    return plans.make(deployment, wanted, record.operated)


def _show(plan: Plan) -> None:
    for finding in plan.findings:
        click.echo(rendering.finding_text(finding))
    headline = {
        "none": f"{plan.service}: nothing would change.",
        "scale": f"{plan.service}: would be changed in place, with no new revision.",
        "update": f"{plan.service}: a new revision would replace the one that is wanted now.",
        "create": f"{plan.service}: would be created.",
    }
    click.echo(headline[plan.kind])
    width = max((len(change.field) for change in plan.changes), default=0)
    for change in plan.changes:
        click.echo(f"  {_change(change, width)}")


def _change(change: Change, width: int) -> str:
    mark, color = MARKS[change.kind]
    if change.before is not None and change.after is None:
        mark, color = "-", "red"
    value = _value(change.after)
    if change.before is not None:
        value = _value(change.before) + (f" → {value}" if change.after is not None else "")
    return f"{click.style(mark, fg=color)} {change.field.ljust(width)}  {value}"


def _value(value: Any) -> str:
    """Return a value as it is written in a spec; digests are cut to what people compare."""
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[:19]
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _show_reasons(plan: Plan) -> None:
    header = ("FIELD", "VALUE", "FROM", "WHY")
    rows = [
        (reason.field, reason.value, str(reason.origin), reason.why)
        for reason in sorted(plan.reasons, key=lambda reason: reason.field)
    ]
    click.echo()
    click.echo(rendering.table(header, rows))
