"""`cloche export dockerfile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cloche.cli import options, rendering
from cloche.cli.export import context


@click.command()
@context.asked
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", required=True,
    help="The folder to write: a new one, or that of an earlier export.",
)  # fmt: skip
@options.as_json
def dockerfile(*, output: Path, as_json: bool, **given: Any) -> None:
    """Write a Dockerfile and all that it copies, for docker, buildah or kaniko.

    The image of it has the files, the settings and the labels of that of `cloche image build`, in
    the same places. The same inputs give the same bytes.
    """
    from cloche.pipeline import export

    asked = context.Asked(**given)
    with context.prepared(asked, lambda: export.check_folder(output)) as made:
        export.write_folder(
            made.context, output, settings=made.here.settings, progress=made.here.progress
        )  # fmt: skip
        report = made.report(output)
    command = f"DOCKER_BUILDKIT=1 docker build --tag {report['service']} {output}"
    rendering.show_json(report) if as_json else context.show(report, (command,))
