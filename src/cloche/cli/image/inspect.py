"""`cloche image inspect`."""

from __future__ import annotations

import os

import click

from cloche.artifacts import to_builtins
from cloche.cli import options, rendering
from cloche.cli.image import description


@click.command()
@click.argument("image", metavar="IMAGE|PATH")
@click.option(
    "--platform", metavar="OS/ARCH",
    help="Which one, where there are several (default: this machine's).",
)  # fmt: skip
@options.as_json
def inspect(*, image: str, platform: str | None, as_json: bool) -> None:
    """Show an image in a registry, an OCI layout or an archive; its layers are not read."""
    from cloche.images import addresses, platforms
    from cloche.pipeline import image as images
    from cloche.pipeline import image_verdicts

    wanted = platforms.parse(platform) if platform is not None else None
    with images.registries(os.environ) as connections:
        found = images.read_image(image, wanted, connections)
        told = image_verdicts.beside(found, addresses.parse(image), connections)
    path = addresses.local(image).path if addresses.is_local(image) else None
    report = description.of(found, path, told.verdicts)
    report["findings"] += to_builtins(told.findings)
    rendering.show_json(report) if as_json else description.show(report)
