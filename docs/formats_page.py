"""The page of formats: the table that `cloche inspect --formats` prints, with what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import composition
from cloche.cli.formats_table import closeness_text
from cloche.formats import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.formats.table import Row

_SERVED = """\
A model is told apart by what its files hold, never by their names. Where it is converted to ONNX,
the conversion is used only if it answers as the original does, in numbers; else the original is
served, and `cloche plan` says why. The last column has the keys of
[cloche.yaml](reference/cloche-yaml.md) that matter for such a model: a state dict needs `class`,
the others are choices. `cloche init MODEL` writes them as comments."""
_MEASURED = """\
`make formats` deploys one model of each row on real Triton, saved by the call above with the
release below. Its served answer was compared with what the judge says is right (`reference`: the
model's own framework). *Off by at most* is over all requests that the original and its conversion
both answered, as a power of ten; the scale is the largest answer."""
_UNSERVED = "Each of these is one error that says what to do. [All errors](reference/errors.md)."


def page(note: str) -> str:
    """Return docs/formats.md; `note` says that it is generated."""
    formats = composition.formats().values()
    rows = list(table.rows(formats))
    parts = ["# Formats", note, "", _SERVED, "", *_served(rows), "", "## Measured", "", _MEASURED]
    parts += ["", *_measured(rows), "", "## Recognised, and not served", "", _UNSERVED, ""]
    parts += ["| what | instead |", "|---|---|"]
    parts += [f"| {_cell(each.what)} | {_cell(each.remedy)} |" for each in table.unserved(formats)]
    return "\n".join(parts) + "\n"


def _served(rows: list[Row]) -> Iterator[str]:
    yield "| format | saved as | from | served by | keys |"
    yield "|---|---|---|---|---|"
    for row in rows:
        variant = row.variant
        by = variant.served.replace("converted", f"converted by {variant.converter}")
        keys = ", ".join(f"`{key.name}`" for key in variant.keys)
        saved = f"{variant.what}<br>`{variant.saved}`"
        yield f"| {row.format} | {saved} | {', '.join(variant.sources)} | {by} | {keys} |"


def _measured(rows: list[Row]) -> Iterator[str]:
    yield "| saved as | model | with | served by | judge | off by at most | requests |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        found = row.measured
        why = f": {found.why}" if found.why else ""
        by = found.converter or f"Triton's {found.backend} backend{why}"
        requests = found.parity.requests if found.parity is not None else "-"
        yield (
            f"| {row.variant.what} | `{found.model}` | {found.framework} | {by} | {found.judge} |"
            f" {closeness_text(found)} | {requests} |"
        )


def _cell(text: str) -> str:
    return (text[0].upper() + text[1:]).replace("|", "\\|")
