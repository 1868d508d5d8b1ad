"""The objects of a cluster in a plan, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli.rendering import value_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloche.artifacts import FieldChange, ObjectChange

_MARKS = {
    "create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"),
    "drift": ("!", "yellow"),
}  # fmt: skip


def show(objects: Sequence[ObjectChange], *, why: bool) -> None:
    """Show what becomes of objects; `why` shows the fields of new ones, too."""
    changes = [each for each in objects if each.action != "drift"]
    drifts = [each for each in objects if each.action == "drift"]
    if changes:
        click.echo("Objects in the cluster:")
    for each in changes:
        _show(each, fields=why or each.action != "create")
    if drifts:
        click.echo("Others changed these since they were applied; they stay so:")
    for each in drifts:
        _show(each, fields=True)
    for why_not in dict.fromkeys(each.unasked for each in objects if each.unasked):
        click.echo(f"A client-side plan, not confirmed by the cluster: {why_not}")


def _show(change: ObjectChange, *, fields: bool) -> None:
    mark, color = _MARKS[change.action]
    unasked = "  (client-side)" if change.unasked else ""
    click.echo(f"  {click.style(mark, fg=color)} {change.kind} {change.name}{unasked}")
    if fields:
        for line in _lines(change.fields):
            click.echo(f"      {line}")


def _lines(fields: Sequence[FieldChange]) -> Iterator[str]:
    for field in fields:
        owner = f"  (set by {field.owner})" if field.owner else ""
        yield f"{field.path}: {_arrow(field.before, field.after)}{owner}"


def _arrow(before: Any, after: Any) -> str:
    if before is None:
        return value_text(after)
    return f"{value_text(before)} → {value_text(after) if after is not None else 'removed'}"
