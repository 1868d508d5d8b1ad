"""`cloche image base`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cloche.cli import options, rendering, session
from cloche.cli.image import build, description


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR|FILE.tar",
    help="Where to write: an OCI layout, or an archive for docker, podman and skopeo.",
)  # fmt: skip
@click.option("--tag", metavar="IMAGE", help="Its name: HOST/NAME:TAG or NAME:TAG.")
@click.option("--push", is_flag=True, help="Push it; what the registry has is not sent again.")
@click.option(
    "--platform", metavar="OS/ARCH", help="The platform, such as linux/arm64 (default: this one's)."
)
@options.as_json
def base(
    *, output: Path | None, tag: str | None, push: bool, platform: str | None, as_json: bool
) -> None:
    """Make Cloche's own base for CPUs: Debian, Python and Triton of its wheel.

    `cloche image build --base cpu` takes it, too. Without --output and --push it is made and shown.
    """
    from cloche import cache
    from cloche.images import names, platforms
    from cloche.images.sources import reading
    from cloche.pipeline import base_image
    from cloche.pipeline import image as images

    reference = build.checked_tag(tag, push=push)
    if tag is not None:
        build.require_place(output, push=push)
    called = names.parse(tag) if tag else None
    if output is not None:
        images.check_output(output)
    here = session.begin()
    wanted = platforms.parse(platform) if platform is not None else platforms.here()
    with cache.under_way(here.settings), images.registries(os.environ) as connections:
        made = base_image.make(
            wanted, os.environ, settings=here.settings, progress=here.progress
        )  # fmt: skip
        if output is not None:
            base_image.write(made, output, called, here.progress)
        if push and reference is not None:
            base_image.push(made, reference, connections, here.progress)
    report = description.of(reading.of(made, str(reference or base_image.TITLE)), output)
    if push:
        report["pushed"] = str(reference)
    rendering.show_json(report) if as_json else description.show(report)
