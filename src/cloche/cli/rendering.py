"""Rendering results: as JSON, and as aligned text."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cloche import rendering
from cloche.rendering import json_text, judged_text, parity_text, verification_text
from cloche.units import count_text, duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloche.artifacts import Finding

__all__ = [
    "age_text",
    "count_text",
    "fields",
    "finding_text",
    "hanging",
    "json_text",
    "judge_text",
    "judged_text",
    "milliseconds_text",
    "parity_text",
    "show_json",
    "table",
    "tensor_text",
    "value_text",
    "verification_text",
    "width",
]


def show_json(value: Any) -> None:
    """Print a JSON value on one line, so that the last line of stdout is always a value."""
    click.echo(json_text(value))


def width() -> int:
    """Return the columns of the terminal; 80 where the output is none."""
    return shutil.get_terminal_size((80, 24)).columns


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table that fits the terminal; see `cloche.rendering.table`."""
    return rendering.table(header, rows, width())


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Return `name  value` lines that fit the terminal, with the values aligned."""
    pairs = list(pairs)
    longest = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(hanging(f"{name.ljust(longest)}  ", value).rstrip() for name, value in pairs)


def hanging(head: str, text: str) -> str:
    """Return text after a head, which may be styled, in lines that fit the terminal.

    Where the output is none it is one line, for programs that choose lines.
    """
    if not sys.stdout.isatty():
        return head + text
    plain = click.unstyle(head)
    return head + rendering.hanging(plain, text, width())[len(plain) :]


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
    lines = [hanging(f"{finding.severity}[{finding.code}]: ", finding.what)]
    if finding.where:
        lines.append(hanging("  where: ", finding.where))
    if finding.hint:
        lines.append(hanging("  hint: ", finding.hint))
    return "\n".join(lines)


def judge_text(verification: dict[str, Any] | None) -> str:
    """Return what a golden request was judged by, `no` if it failed, `-` if there was none.

    An answer that came with an image is marked `elsewhere`.
    """
    if verification is None:
        return "-"
    if not verification["passed"]:
        return "no"
    there = " (elsewhere)" if verification.get("answer_from") else ""
    return f"{verification['judge']}{there}"


def value_text(value: Any) -> str:
    """Return a value as written in a spec; digests are shortened."""
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[:19]
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
