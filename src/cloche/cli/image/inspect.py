"""`cloche image inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from cloche.cli import options, rendering
from cloche.cli.image import description


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--platform", metavar="OS/ARCH", help="Which one, where there are several.")
@options.as_json
def inspect(*, path: Path, platform: str | None, as_json: bool) -> None:
    """Show the image in PATH, an OCI layout or an archive."""
    from cloche.images import platforms, reading

    wanted = platforms.parse(platform) if platform else None
    report = description.of(reading.read(path, wanted), path)
    rendering.show_json(report) if as_json else description.show(report)
