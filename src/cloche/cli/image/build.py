"""`cloche image build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.errors import UsageError
from cloche.images.bases import ngc

if TYPE_CHECKING:
    from cloche.clients.oci.reference import ImageReference


@click.command()
@options.model
@options.file
@options.name
@options.example
@click.option(
    "--base", metavar="IMAGE|PATH|cpu",
    help="The image with the server: one in a registry, an OCI layout, an archive of"
    f" `docker save`, or `cpu` for Cloche's own (default: {ngc.IMAGE}, or that of `server.release`"
    " in cloche.yaml).",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR|FILE.tar",
    help="Where to write: an OCI layout, or an archive for docker, podman and skopeo.",
)  # fmt: skip
@click.option(
    "--tag", metavar="IMAGE",
    help="Its name, HOST/NAME:TAG or NAME:TAG, in the registry and in the output (default there:"
    " that of the service).",
)  # fmt: skip
@click.option("--push", is_flag=True, help="Push it; what the registry has is not sent again.")
@click.option(
    "--platform", metavar="OS/ARCH[,…]",
    help="The platform, such as linux/arm64 (default: this one's), or several of them.",
)  # fmt: skip
@click.option(
    "--split",
    is_flag=True,
    help="Make two images: the models, for an image volume, and the server that runs them.",
)
@click.option(
    "--no-golden", is_flag=True, help="Leave the golden request and its answers out of the image."
)
@options.as_json
def build(*, as_json: bool, **given: Any) -> None:
    """Make the image of MODEL, or of ./cloche.yaml, in a registry, a folder or a file.

    MODEL is a file, a folder or a model of a registry, as for `cloche deploy`, or the name of a
    service: then what it serves is in the image, as it was verified. The model repository in it is,
    byte for byte, the one that `cloche deploy` serves. The same inputs give the same digest
    everywhere.
    """
    from cloche.cli.image import description
    from cloche.cli.image.words import Words
    from cloche.images import names, platforms
    from cloche.pipeline import image as images
    from cloche.pipeline.image_again import BuildCommand

    words = Words(**given)
    reference = checked_tag(words.tag, push=words.push)
    require_place(words.output, push=words.push)
    wanted = platforms.parse_all(words.platform) if words.platform is not None else ()
    if words.tag:
        names.parse(words.tag)
    here = session.begin()
    with images.registries(os.environ) as connections:
        asked = BuildCommand(
            given, words.spec_file, reference if words.push else None, words.output,
            here.settings, connections,
        )  # fmt: skip
        report = asked.answer()
        if report is None:
            from cloche.cli.image import making

            report = making.run(words, wanted or (platforms.here(),), here, asked)
    rendering.show_json(report) if as_json else description.show(report)


def require_place(output: Path | None, *, push: bool) -> None:
    """Raise UsageError unless it is told where the image goes."""
    if output is None and not push:
        raise UsageError(
            "image.nowhere",
            "Nothing says where the image goes.",
            hint="Add --output DIR, --output FILE.tar, or --push --tag HOST/NAME:TAG.",
        )


def checked_tag(tag: str | None, *, push: bool) -> ImageReference | None:
    """Return the name that an image gets; raises UsageError for --push without one."""
    from cloche.clients.oci import reference as references

    reference = references.parse(tag) if tag else None
    if push and reference is None:
        raise UsageError(
            "image.tag",
            "--push needs the name of the image.",
            hint="Write --push --tag HOST/NAME:TAG.",
        )
    if reference is not None and reference.digest:
        raise UsageError(
            "image.tag",
            "The digest of an image follows from what is in it.",
            where=tag,
            hint="Write --tag HOST/NAME:TAG.",
        )
    return reference
