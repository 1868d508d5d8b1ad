"""`cloche demo`: a model from a registry to verified answers and back, on this machine.

Everything is real: an MLflow server, a model trained on real data, Triton behind Envoy. It runs in
its own home, `CLOCHE_HOME/demo`, apart from the user's services.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from cloche.demo.places import Places


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end.")
@click.option("--stop", is_flag=True, help="End a demo that was left running.")
@options.as_json
def command(*, keep: bool, stop: bool, as_json: bool) -> int:
    """Train a model, register it in MLflow, deploy it by its alias, ask it and roll it back.

    Starts an MLflow server in its own environment, trains two classifiers of handwritten
    digits on the data that scikit-learn carries, deploys models:/digits@champion, verifies it and
    sends every held-out scan through the gateway over HTTP and gRPC. Then, while clients go on, it
    deploys models:/digits@challenger and rolls it back, and ends everything that it started. A lost
    request makes the exit code 1.
    """
    from cloche.demo import ending, report, run
    from cloche.demo.places import Places

    here = session.begin()
    places = Places.under(here.settings)
    with session.terminable():
        ended = ending.end(places, here.progress)
        if stop:
            rendering.show_json({"ended": ended}) if as_json else click.echo(
                report.ended_text(ended)
            )
            return 0
        began = time.monotonic()
        result = run.run(places, here.progress, keep=keep)
        result["seconds"] = round(time.monotonic() - began, 1)
    rendering.show_json(result) if as_json else _show(result, places)
    return 1 if result["rollback"]["lost"] else 0


def _show(result: dict[str, Any], places: Places) -> None:
    from cloche.demo import command, report

    words = command.words(os.environ, Path.cwd())
    click.echo(report.text(result, places, words))
