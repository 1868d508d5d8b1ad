"""What the verbs on images say of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import Finding, Severity, convert, to_builtins
from cloche.cli import rendering
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloche.artifacts import Verdict
    from cloche.images.bases.base import BaseSoftware
    from cloche.images.sources.reading import ReadImage
    from cloche.pipeline.image import Built

_DIGITS = 19
"""Characters of a digest in a table."""
_WHAT = 60


def of(image: ReadImage, path: Path | None, told: Iterable[Verdict] = ()) -> dict[str, Any]:
    """Return what is in an image, and what is `told` beside it, as the JSON of the verbs."""
    from cloche.images.bases import base
    from cloche.images.config import what_of_layers

    container = image.config.get("config") or {}
    software = base.software(image.config)
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
        "server": _server(software),
        "annotations": {**(container.get("Labels") or {}), **image.annotations},
        "layers": layers,
        "verdicts": verdicts(told),
        "findings": findings(software),
    }


def of_built(built: Built, path: Path | None, told: tuple[Verdict, ...] = ()) -> dict[str, Any]:
    """Return what was built as JSON: one image as by `of`, or the index of several and these."""
    from cloche.images.sources import reading

    name = built.name.full or built.name.short
    images = [of(reading.of(image, name), path, told) for image in built.images]
    said = [*images[0]["findings"], *to_builtins(built.findings)]
    if len(images) == 1:
        return {**images[0], "findings": said}
    return {
        "path": images[0]["path"], "name": name, "digest": built.digest,
        "platforms": [image["platform"] for image in images], "images": images,
        "findings": said,
    }  # fmt: skip


def verdicts(told: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Return what runs told of the model in an image, as JSON."""
    from cloche.images import verdicts as beside

    return [beside.described(each) for each in told]


def verdict_text(verdict: dict[str, Any]) -> str:
    """Return a verdict in a line."""
    joined = "requests are joined" if verdict["joins_requests"] else "requests are not joined"
    if verdict["converter"] is None:
        return f"served by {verdict['backend']}; {joined}"
    close = rendering.parity_text(verdict["parity"], verdict["requests"])
    return f"converted by {verdict['converter']}, {close}; {joined}"


def _server(software: BaseSoftware) -> dict[str, Any]:
    return {
        "triton": software.triton, "version": software.version,
        "pythons": list(software.pythons), "cuda": software.cuda, "glibc": software.glibc,
    }  # fmt: skip


def findings(software: BaseSoftware) -> list[dict[str, Any]]:
    """Return what has to be known of a base by all who run something on it."""
    if software.untrusted is None:
        return []
    return [to_builtins(Finding(Severity.WARNING, "image.network", f"{software.untrusted}."))]


def show(report: dict[str, Any]) -> None:
    """Print it as text; of several images each."""
    for finding in report.get("findings", ()):
        click.echo(rendering.finding_text(convert(Finding, finding)))
    if "images" in report:
        known = ((name, report.get(name)) for name in ("path", "pushed", "name", "digest"))
        click.echo(rendering.fields((name, value) for name, value in known if value))
        for image in report["images"]:
            click.echo()
            show({**image, "path": None, "name": None, "findings": ()})
        return
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
        ("python", ", ".join(server["pythons"])),
        ("cuda", server["cuda"]),
        ("user", report["user"]),
        ("entrypoint", " ".join(report["entrypoint"])),
        ("golden", _golden(report.get("golden"))),
        *(("verdict", verdict_text(each)) for each in report.get("verdicts", ())),
    ]
    click.echo(rendering.fields((name, value) for name, value in pairs if value))
    rows = [
        (short_digest(layer["digest"]), size_text(layer["size"]), shortened(layer["what"]))
        for layer in report["layers"]
    ]
    click.echo()
    click.echo(rendering.table(("LAYER", "SIZE", "WHAT"), rows))
    if "server_image" in report:
        click.echo("\nThe image of the server that runs them:\n")
        show({**report["server_image"], "findings": ()})


def _golden(golden: dict[str, Any] | None) -> str:
    return rendering.judged_text(golden["origin"], golden["judge"]) if golden else ""


def short_digest(digest: str) -> str:
    """Return as much of a digest as a table shows."""
    return digest[:_DIGITS]


def shortened(text: str) -> str:
    """Return as much of a text as a table shows."""
    return text if len(text) <= _WHAT else f"{text[: _WHAT - 1]}…"
