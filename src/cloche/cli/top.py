"""`cloche top`: the requests of all services, again and again."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = ("NAME", "REVISION", "READY", "REQ/S", "REQUESTS", "ERRORS", "LOST", "P50", "P99")


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--every", type=options.duration, default="2s", show_default=True,
              help="Time between two looks.")  # fmt: skip
@click.option("--count", type=click.IntRange(min=1),
              help="Looks after which it ends; without a terminal one.")  # fmt: skip
@options.as_json
def command(*, name: str | None, every: float, count: int | None, as_json: bool) -> None:
    """Show the requests of all services, or of the one named NAME, until ctrl-C.

    REQ/S is of the last ten seconds, the others of the last minute, as the gateway counts them.
    ERRORS are answers that are not the caller's fault (5xx); LOST were answered by nobody, or too
    late (503 and 504). With --json each look is a line of its own.
    """
    if every <= 0:
        raise UsageError("usage.every", "--every has to be more than 0.", hint="Try `--every 2s`.")
    draws = sys.stdout.isatty() and not as_json
    looks = count if count is not None or draws else 1
    reports = _reports(name, every, looks)
    if draws:
        _draw(reports)
        return
    for report in reports:
        if as_json:
            rendering.show_json(report)
        else:
            click.echo(_text(report))


def _reports(name: str | None, every: float, looks: int | None) -> Iterator[dict[str, Any]]:
    """Yield `{at, gateway, services: [{service, revision, ready, wanted, traffic}]}`."""
    control = session.begin().control()
    made = 0
    while True:
        status = control.status()
        services = status["services"] if name is None else [control.service(name)]
        yield {
            "at": datetime.now().astimezone().isoformat(timespec="seconds"),
            "gateway": status["gateway"],
            "services": [_view(service) for service in services],
        }
        made += 1
        if looks is not None and made >= looks:
            return
        time.sleep(every)


def _view(service: dict[str, Any]) -> dict[str, Any]:
    replicas = service["replicas"]
    return {
        "service": service["service"],
        "revision": service["revision"],
        "ready": replicas["ready"],
        "wanted": replicas["wanted"],
        "traffic": service["traffic"],
    }


def _draw(reports: Iterator[dict[str, Any]]) -> None:
    """Draw each report over the one before."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for report in reports:
            live.update(Text(_text(report), no_wrap=True, overflow="ellipsis"), refresh=True)


def _text(report: dict[str, Any]) -> str:
    rows = [row for service in report["services"] for row in _rows(service)]
    gateway = report["gateway"]
    head = f"{report['at']}  {gateway['http']}"
    if gateway["detail"]:
        head += f"  ({gateway['detail']})"
    if not rows:
        return f"{head}\nNo services. `cloche deploy MODEL` makes one."
    return f"{head}\n{rendering.table(_HEADER, rows)}"


def _rows(service: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the row of a service, or one for each of several revisions that had requests."""
    ready = f"{service['ready']}/{service['wanted']}"
    traffic = service["traffic"]
    name, revision = service["service"], str(service["revision"])
    if traffic is None:
        return [(name, revision, ready, *["-"] * 6)]
    asked = {number: each for number, each in traffic["revisions"].items() if each["requests"]}
    if len(asked) < 2:
        return [(name, revision, ready, *_cells(traffic))]
    return [
        (name, number, ready if number == revision else "", *_cells(each))
        for number, each in asked.items()
    ]


def _cells(traffic: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(traffic[key]) for key in ("requests", "errors", "lost"))
    times = (rendering.milliseconds_text(traffic[key]) for key in ("p50_ms", "p99_ms"))
    return (f"{traffic['requests_per_second']:.1f}", *counts, *times)
