"""Rendering results: as JSON, and as aligned text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cloche.rendering import fields, json_text, judged_text, parity_text, table, verification_text
from cloche.units import duration_text

if TYPE_CHECKING:
    from cloche.artifacts import Finding

__all__ = [
    "age_text",
    "fields",
    "finding_text",
    "json_text",
    "judged_text",
    "parity_text",
    "show_json",
    "table",
    "tensor_text",
    "value_text",
    "verification_text",
]


def show_json(value: Any) -> None:
    """Print a JSON value on one line, so that the last line of stdout is always a value."""
    click.echo(json_text(value))


def count(number: int, thing: str) -> str:
    """Return `1 service` or `2 services`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def age_text(timestamp: str, now: datetime | None = None) -> str:
    """Return how long ago an ISO 8601 time was; other text unchanged."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return timestamp
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return duration_text(max(0.0, ((now or datetime.now(UTC)) - then).total_seconds()))


def milliseconds_text(value: float | None) -> str:
    """Return a time that the gateway measured, in whole milliseconds: `<1 ms`, `12 ms`."""
    if value is None:
        return "-"
    return f"{value:.0f} ms" if value >= 1 else "<1 ms"


def tensor_text(tensor: dict[str, Any]) -> str:
    """Return `input FP32 [batch, 64]`; a dynamic axis without a name is `?`."""
    labels = [*tensor.get("labels", ()), *[None] * len(tensor["shape"])]
    axes = [
        str(size) if size >= 0 else label or "?"
        for size, label in zip(tensor["shape"], labels, strict=False)
    ]
    optional = " (optional)" if tensor.get("optional") else ""
    return f"{tensor['name']} {tensor['datatype']} [{', '.join(axes)}]{optional}"


def finding_text(finding: Finding) -> str:
    """Return `warning[onnx.batch]: … (where) hint: …` in the form of an error."""
    lines = [f"{finding.severity}[{finding.code}]: {finding.what}"]
    if finding.where:
        lines.append(f"  where: {finding.where}")
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    return "\n".join(lines)


def value_text(value: Any) -> str:
    """Return a value as written in a spec; digests are shortened."""
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[:19]
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
