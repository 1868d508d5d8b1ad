"""`cloche image build`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import to_builtins
from cloche.cli import deploy, options, rendering, session, specification
from cloche.cli.image import description
from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.artifacts import Deployment
    from cloche.images.base import Base
    from cloche.images.image import Platform
    from cloche.pipeline.image import Registries


@click.command()
@options.model
@options.file
@options.name
@options.example
@click.option(
    "--base", required=True, metavar="IMAGE|PATH|cpu",
    help="The image with the server: one in a registry, an OCI layout, an archive of"
    " `docker save`, or `cpu` for Cloche's own.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR|FILE.tar",
    help="Where to write: an OCI layout, or an archive for docker, podman and skopeo.",
)  # fmt: skip
@click.option("--tag", metavar="IMAGE", help="The name to push it under: HOST/NAME:TAG.")
@click.option("--push", is_flag=True, help="Push it; what the registry has is not sent again.")
@click.option(
    "--platform", metavar="OS/ARCH", help="The platform, such as linux/arm64 (default: this one's)."
)
@click.option(
    "--no-golden", is_flag=True, help="Leave the golden request and its answers out of the image."
)
@options.as_json
def build(
    *, model: str | None, file: Path | None, name: str | None, example: Path | None, base: str,
    output: Path | None, tag: str | None, push: bool, platform: str | None, no_golden: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Make the image of MODEL, or of ./cloche.yaml, in a registry, a folder or a file.

    The model repository in it is, byte for byte, the one that `cloche deploy` serves. The same
    inputs give the same digest everywhere.
    """
    from cloche import cache
    from cloche.clients.oci import reference as references
    from cloche.images import base as bases
    from cloche.images import golden, layout, platforms, reading
    from cloche.pipeline import image as images

    _check_places(output, tag, push=push)
    reference = references.parse(tag) if tag else None
    here = session.begin()
    wanted = platforms.parse(platform) if platform else platforms.here()
    how: dict[str, Any] = {"settings": here.settings, "progress": here.progress}
    with cache.under_way(here.settings), images.registries(os.environ) as connections:
        chosen = _base(base, wanted, here, connections)
        bases.require_server(chosen, base)
        if output is not None:
            images.check_output(output)
        deployment = deploy.prepare(here, *specification.chosen(model, file, name, example))
        if no_golden:
            deployment = replace(deployment, golden=None)
        if output is not None:
            made = images.write_image(deployment, chosen, output, **how)
        if reference is not None:
            made = images.push_image(deployment, chosen, reference, connections, **how)
    name = f"docker.io/library/{layout.tag(deployment.service)}" if output else str(reference)
    report = description.of(reading.of(made, name), output)
    report["golden"] = _golden(deployment)
    report["findings"] += to_builtins(golden.findings(deployment))
    if reference is not None:
        report["pushed"] = str(reference)
    rendering.show_json(report) if as_json else description.show(report)


def _base(base: str, platform: Platform, here: session.Session, connections: Registries) -> Base:
    """Return the base of that name; Cloche's own is made."""
    from cloche.pipeline import base_image
    from cloche.pipeline import image as images

    if base != base_image.NAME:
        return images.read_base(base, platform, connections)
    made = base_image.make(
        platform, os.environ, settings=here.settings, progress=here.progress
    )  # fmt: skip
    return base_image.as_base(made)


def _golden(deployment: Deployment) -> dict[str, Any] | None:
    """Return what travels to verify the image by."""
    asked = deployment.golden
    return {"origin": asked.origin, "judge": asked.judge, "why": asked.why} if asked else None


def _check_places(output: Path | None, tag: str | None, *, push: bool) -> None:
    """Raise UsageError unless it is told where the image goes."""
    check_tag(tag, push=push)
    if output is None and not push:
        raise UsageError(
            "image.nowhere",
            "Nothing says where the image goes.",
            hint="Add --output DIR, --output FILE.tar, or --push --tag HOST/NAME:TAG.",
        )


def check_tag(tag: str | None, *, push: bool) -> None:
    """Raise UsageError for one of --push and --tag without the other."""
    if push != (tag is not None):
        raise UsageError(
            "image.tag",
            "--push needs the name of the image." if push else "--tag names an image to push.",
            hint="Write --push --tag HOST/NAME:TAG.",
        )
