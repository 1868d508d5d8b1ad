"""`cloche image`: make and show the OCI image of a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import deploy, options, rendering, session, specification
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.images.base import BaseSoftware

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
    "--base", required=True, metavar="PATH",
    help="The image with the server: an OCI layout, or an archive of `docker save`.",
)  # fmt: skip
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), metavar="DIR|FILE.tar",
    help="Where to write: an OCI layout, or an archive for docker, podman and skopeo.",
)  # fmt: skip
@click.option(
    "--platform", metavar="OS/ARCH", help="The platform, such as linux/arm64 (default: this one's)."
)
@options.as_json
def build(
    *, model: str | None, file: Path | None, name: str | None, example: Path | None, base: str,
    output: Path, platform: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Write the image of MODEL, or of ./cloche.yaml, to a folder or a file.

    The model repository in it is, byte for byte, the one that `cloche deploy` serves. The same
    inputs give the same digest everywhere.
    """
    from cloche import cache
    from cloche.images import base as bases
    from cloche.images import platforms
    from cloche.pipeline.image import build_image, check_output

    here = session.begin()
    wanted = platforms.parse(platform) if platform else platforms.here()
    chosen = bases.read(base, wanted)
    bases.require_server(chosen, base)
    check_output(output)
    with cache.under_way(here.settings):
        deployment = deploy.prepare(here, *specification.chosen(model, file, name, example))
        build_image(deployment, chosen, output, settings=here.settings, progress=here.progress)
    report = _report(output, deployment.service)
    rendering.show_json(report) if as_json else _show(report)


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--platform", metavar="OS/ARCH", help="Which one, where there are several.")
@options.as_json
def inspect(*, path: Path, platform: str | None, as_json: bool) -> None:
    """Show the image in PATH, an OCI layout or an archive."""
    report = _report(path, None, platform)
    rendering.show_json(report) if as_json else _show(report)


def _report(path: Path, name: str | None, platform: str | None = None) -> dict[str, Any]:
    """Return what is in an image, as the JSON of both verbs."""
    from cloche.images import base, layout, platforms, reading
    from cloche.images.config import what_of_layers

    wanted = platforms.parse(platform) if platform else None
    full = f"docker.io/library/{layout.tag(name)}" if name else None
    image = reading.read(path, wanted, name=full)
    container = image.config.get("config") or {}
    what = what_of_layers(image.config)
    layers = [
        {"digest": layer.descriptor.digest, "size": layer.descriptor.size,
         "media_type": layer.descriptor.media_type, "what": told}
        for layer, told in zip(image.layers, what, strict=True)
    ]  # fmt: skip
    return {
        "path": str(path.absolute()),
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
