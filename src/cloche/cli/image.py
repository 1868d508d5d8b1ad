"""`cloche image`: make and show the OCI image of a service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import deploy, options, rendering, session, specification
from cloche.errors import UsageError
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.images.base import BaseSoftware
    from cloche.images.reading import ReadImage

_DIGITS = 19
"""Characters of a digest in a table."""
_WHAT = 60


@click.group()
def command() -> None:
    """Make and show the image of a service, with no Docker daemon."""


@command.command()
@options.model
@options.file
@options.name
@options.example
@click.option(
    "--base", required=True, metavar="IMAGE|PATH",
    help="The image with the server: one in a registry, an OCI layout, or an archive of"
    " `docker save`.",
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
@options.as_json
def build(
    *, model: str | None, file: Path | None, name: str | None, example: Path | None, base: str,
    output: Path | None, tag: str | None, push: bool, platform: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make the image of MODEL, or of ./cloche.yaml, in a registry, a folder or a file.

    The model repository in it is, byte for byte, the one that `cloche deploy` serves. The same
    inputs give the same digest everywhere.
    """
    from cloche import cache
    from cloche.clients.oci import reference as references
    from cloche.images import base as bases
    from cloche.images import layout, platforms, reading
    from cloche.pipeline import image as images

    _check_places(output, tag, push=push)
    reference = references.parse(tag) if tag else None
    here = session.begin()
    wanted = platforms.parse(platform) if platform else platforms.here()
    how: dict[str, Any] = {"settings": here.settings, "progress": here.progress}
    with cache.under_way(here.settings), images.registries(os.environ) as connections:
        chosen = images.read_base(base, wanted, connections)
        bases.require_server(chosen, base)
        if output is not None:
            images.check_output(output)
        deployment = deploy.prepare(here, *specification.chosen(model, file, name, example))
        if output is not None:
            made = images.write_image(deployment, chosen, output, **how)
        if reference is not None:
            made = images.push_image(deployment, chosen, reference, connections, **how)
    name = f"docker.io/library/{layout.tag(deployment.service)}" if output else str(reference)
    report = _described(reading.of(made, name), output)
    if reference is not None:
        report["pushed"] = str(reference)
    rendering.show_json(report) if as_json else _show(report)


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--platform", metavar="OS/ARCH", help="Which one, where there are several.")
@options.as_json
def inspect(*, path: Path, platform: str | None, as_json: bool) -> None:
    """Show the image in PATH, an OCI layout or an archive."""
    from cloche.images import platforms, reading

    wanted = platforms.parse(platform) if platform else None
    report = _described(reading.read(path, wanted), path)
    rendering.show_json(report) if as_json else _show(report)


def _check_places(output: Path | None, tag: str | None, *, push: bool) -> None:
    """Raise UsageError unless it is told where the image goes."""
    if push != (tag is not None):
        raise UsageError(
            "image.tag",
            "--push needs the name of the image." if push else "--tag names an image to push.",
            hint="Write --push --tag HOST/NAME:TAG.",
        )
    if output is None and not push:
        raise UsageError(
            "image.nowhere",
            "Nothing says where the image goes.",
            hint="Add --output DIR, --output FILE.tar, or --push --tag HOST/NAME:TAG.",
        )


def _described(image: ReadImage, path: Path | None) -> dict[str, Any]:
    """Return what is in an image, as the JSON of both verbs."""
    from cloche.images import base
    from cloche.images.config import what_of_layers

    container = image.config.get("config") or {}
    what = what_of_layers(image.config)
    layers = [
        {"digest": layer.descriptor.digest, "size": layer.descriptor.size,
         "media_type": layer.descriptor.media_type, "what": told}
        for layer, told in zip(image.layers, what, strict=True)
    ]  # fmt: skip
    return {
        "path": str(path.absolute()) if path is not None else None,
        "name": image.name,
        "digest": image.digest,
        "platform": str(image.platform),
        "size": sum(layer["size"] for layer in layers),
        "user": container.get("User") or None,
        "entrypoint": container.get("Entrypoint") or [],
        "server": _server(base.software(image.config)),
        "annotations": {**(container.get("Labels") or {}), **image.annotations},
        "layers": layers,
    }


def _server(software: BaseSoftware) -> dict[str, Any]:
    return {
        "triton": software.triton, "version": software.version,
        "pythons": list(software.pythons), "cuda": software.cuda,
    }  # fmt: skip


def _show(report: dict[str, Any]) -> None:
    annotations = report["annotations"]
    server = report["server"]
    triton = " ".join(
        filter(None, (server["triton"], server["version"] and f"({server['version']})"))
    )
    pairs = [
        ("image", report["path"]),
        ("pushed", report.get("pushed")),
        ("name", (report["name"] or "").removeprefix("docker.io/library/")),
        ("digest", report["digest"]),
        ("platform", report["platform"]),
        ("size", size_text(report["size"])),
        (
            "model",
            annotations.get("cloche.model.reference") or annotations.get("cloche.model.digest"),
        ),
        ("licence", annotations.get("org.opencontainers.image.licenses")),
        ("triton", triton),
        ("cuda", server["cuda"]),
        ("user", report["user"]),
        ("entrypoint", " ".join(report["entrypoint"])),
    ]
    click.echo(rendering.fields((name, value) for name, value in pairs if value))
    rows = [
        (layer["digest"][:_DIGITS], size_text(layer["size"]), _short(layer["what"]))
        for layer in report["layers"]
    ]
    click.echo()
    click.echo(rendering.table(("LAYER", "SIZE", "WHAT"), rows))


def _short(text: str) -> str:
    return text if len(text) <= _WHAT else f"{text[: _WHAT - 1]}…"
