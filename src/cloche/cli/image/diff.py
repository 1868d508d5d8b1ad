"""`cloche image diff`: in what two images differ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.cli.image import description
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.images.copying.difference import Difference, FileDifference, FileDifferences
    from cloche.images.sources.reading import ReadImage

_MOST_ROWS = 100
"""Rows of files in a table; JSON has all."""


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--platform", metavar="OS/ARCH",
    help="Which one, where there are several (default: this machine's).",
)  # fmt: skip
@click.option(
    "--files/--no-files", default=True,
    help="Read the layers that differ and compare their files (default).",
)  # fmt: skip
@options.as_json
def diff(*, a: str, b: str, platform: str | None, files: bool, as_json: bool) -> None:
    """Show in what image B differs from A: layers, files, settings, bytes that would travel.

    A and B are HOST/NAME:TAG, the folder of an OCI layout, or FILE.tar. Layers that both have are
    not read.
    """
    from cloche.images import platforms
    from cloche.images.copying import difference
    from cloche.pipeline import image as images

    wanted = platforms.parse(platform) if platform is not None else None
    here = session.begin()
    with images.registries(os.environ) as connections:
        before, after = (images.read_image(text, wanted, connections) for text in (a, b))
        found = difference.compare(before, after)
        read = difference.compare_files(before, after, here.progress) if files else None
    report: dict[str, Any] = {
        "identical": difference.is_same(before, after),
        "a": _image(a, before), "b": _image(b, after),
        **_described(found, read),
    }  # fmt: skip
    rendering.show_json(report) if as_json else _show(report)


def _image(text: str, image: ReadImage) -> dict[str, Any]:
    size = sum(layer.descriptor.size for layer in image.layers)
    return {
        "image": text, "digest": image.digest, "platform": str(image.platform), "size": size,
    }  # fmt: skip


def _described(found: Difference, read: FileDifferences | None) -> dict[str, Any]:
    layers = [
        {"digest": each.descriptor.digest, "size": each.descriptor.size, "what": each.what,
         "in": each.side}
        for each in found.layers
    ]  # fmt: skip
    settings = [{"setting": each.setting, "a": each.a, "b": each.b} for each in found.settings]
    return {
        "travels": found.travels,
        "layers": layers,
        "settings": settings,
        "files": [_file(each) for each in read.files] if read is not None else None,
        "unread": list(read.unread) if read is not None else [],
    }


def _file(each: FileDifference) -> dict[str, Any]:
    return {
        "path": each.path, "change": each.change, "a": each.size_a, "b": each.size_b,
    }  # fmt: skip


def _show(report: dict[str, Any]) -> None:
    if report["identical"]:
        click.echo(f"The images are identical: {report['b']['digest'] or 'the same layers'}.")
        return
    sides = [(name, _side(report[name])) for name in ("a", "b")]
    travels = f"{size_text(report['travels'])} to a registry that has A"
    click.echo(rendering.fields([*sides, ("travels", travels)]))
    names = {"both": "A and B", "a": "A", "b": "B"}
    rows = [
        (description.short_digest(layer["digest"]), size_text(layer["size"]), names[layer["in"]],
         description.shortened(layer["what"]))
        for layer in report["layers"]
    ]  # fmt: skip
    _table(("LAYER", "SIZE", "IN", "WHAT"), rows)
    files = report["files"] or []
    changes = [
        (each["change"], _size(each["a"]), _size(each["b"]), f"/{each['path']}")
        for each in files[:_MOST_ROWS]
    ]  # fmt: skip
    _table(("CHANGE", "IN A", "IN B", "FILE"), changes)
    if len(files) > _MOST_ROWS:
        click.echo(f"… and {len(files) - _MOST_ROWS} more files; --json lists them all.")
    for digest in report["unread"]:
        click.echo(f"Not compared: the files of {digest}, which zstd compressed.")
    settings = [
        (each["setting"], description.shortened(each["a"] or "-"),
         description.shortened(each["b"] or "-"))
        for each in report["settings"]
    ]  # fmt: skip
    _table(("SETTING", "IN A", "IN B"), settings)


def _side(image: dict[str, Any]) -> str:
    parts = (image["image"], image["platform"], size_text(image["size"]), image["digest"])
    return "  ".join(part for part in parts if part)


def _size(size: int | None) -> str:
    return "-" if size is None else size_text(size)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        click.echo()
        click.echo(rendering.table(header, rows))
