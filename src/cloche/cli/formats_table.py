"""`cloche inspect --formats`: what is served, how, and how close it was measured to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import rendering

if TYPE_CHECKING:
    from cloche.formats.measured import Measured
    from cloche.formats.table import Row, Unserved


def show(*, as_json: bool) -> None:
    """Print the table of all formats."""
    from cloche import composition
    from cloche.formats import table

    formats = composition.formats().values()
    served, others = list(table.rows(formats)), list(table.unserved(formats))
    if as_json:
        rendering.show_json(_report(served, others))
        return
    header = ("FORMAT", "SAVED AS", "FROM", "SERVED BY", "OFF BY AT MOST")
    click.echo(rendering.table(header, map(_cells, served)))
    click.echo("\nRecognised, and not served:")
    click.echo(rendering.table(("WHAT", "INSTEAD"), [(each.what, each.remedy) for each in others]))


def _report(served: list[Row], others: list[Unserved]) -> dict[str, Any]:
    from cloche.artifacts import to_builtins

    return {
        "formats": [
            {
                "format": row.format,
                **to_builtins(row.variant),
                "keys": [key.name for key in row.variant.keys],
                "measured": to_builtins(row.measured),
            }
            for row in served
        ],
        "unserved": to_builtins(others),
    }


def _cells(row: Row) -> tuple[str, ...]:
    variant = row.variant
    by = variant.served.short + (f" ({variant.converter})" if variant.converter else "")
    sources = ", ".join(variant.sources)
    return row.format, variant.what, sources, by, closeness_text(row.measured)


def closeness_text(measured: Measured) -> str:
    """Return `1e-06 at scale 7, labels 12 of 12`; `-` for a model that was not converted."""
    parity = measured.parity
    if parity is None:
        return "-"
    labels = f"labels {parity.labels} equal" if parity.labels is not None else ""
    if not parity.scale:  # it answers nothing but labels
        return labels
    numbers = f"{parity.max_absolute:.0g} at scale {parity.scale:g}"
    return f"{numbers}, {labels}" if labels else numbers
