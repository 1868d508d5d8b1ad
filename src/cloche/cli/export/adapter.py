"""`cloche export prometheus-adapter`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cloche.cli import options, specification

if TYPE_CHECKING:
    from pathlib import Path

_USUAL_SECONDS = 15.0
"""Between two readings of a pod, where the target does not say it."""
_HEAD = """\
# Rules of prometheus-adapter for services of Cloche with `autoscaler: prometheus-adapter`, the same
# for all of them. These are values of its chart (`helm upgrade … --values FILE`); without the chart
# the list is `rules` of its configuration.
"""


@click.command("prometheus-adapter")
@options.file
@click.option(
    "--target", required=True, metavar="NAME", help="A place of `targets` in cloche.yaml.",
)  # fmt: skip
def prometheus_adapter(*, file: Path | None, target: str) -> None:
    """Print the rules by which prometheus-adapter measures services, for its chart.

    A rate is taken over four readings of a pod: `scrape_interval` of the target, or 15s.
    """
    from cloche.targets.kubernetes.gitops.text import text
    from cloche.targets.kubernetes.objects import horizontal

    spec, _ = specification.chosen(None, file, None, None)
    interval = spec.place(target, file).exposure.scrape_interval or _USUAL_SECONDS
    click.echo(_HEAD + text({"rules": {"custom": horizontal.rules(interval)}}), nl=False)
