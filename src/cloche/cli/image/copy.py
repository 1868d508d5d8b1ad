"""`cloche image copy`, `push` and `pull`: one image from one place to another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import Finding, convert
from cloche.cli import options, rendering, session
from cloche.units import duration_text, size_text

if TYPE_CHECKING:
    from cloche.images.addresses import Address
    from cloche.pipeline.image_copy import Copied

_platform = click.option(
    "--platform", metavar="OS/ARCH", help="Take this platform alone (default: all that it has)."
)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_platform
@options.as_json
def copy(*, source: str, target: str, platform: str | None, as_json: bool) -> None:
    """Copy an image byte for byte: registry, folder or file, in any direction.

    FROM and TO are HOST/NAME:TAG, the folder of an OCI layout, or FILE.tar; oci:FOLDER:NAME is one
    image of a folder with several. What refers to the image, such as its golden answers, is taken
    along.
    """
    from cloche.images import addresses

    _run(addresses.parse(source), addresses.target(target), platform, as_json=as_json)


@click.command()
@click.argument("path", metavar="PATH")
@click.argument("reference", metavar="IMAGE")
@_platform
@options.as_json
def push(*, path: str, reference: str, platform: str | None, as_json: bool) -> None:
    """Copy the image of a folder or a file to a registry."""
    from cloche.images import addresses

    usage = "push PATH HOST/NAME:TAG"
    to = addresses.require_reference(reference, usage)
    _run(addresses.require_local(path, usage), to, platform, as_json=as_json)


@click.command()
@click.argument("reference", metavar="IMAGE")
@click.argument("path", metavar="PATH")
@_platform
@options.as_json
def pull(*, reference: str, path: str, platform: str | None, as_json: bool) -> None:
    """Copy an image of a registry to a folder or a file, and know what runs told of its model.

    What lies beside the image says whether the model converts, how closely, and whether requests
    can be joined: a plan of the same model here knows it, and a deploy goes by it where the
    registry is among `images.trusted`.
    """
    from cloche.images import addresses

    usage = "pull HOST/NAME:TAG PATH"
    source = addresses.require_reference(reference, usage)
    _run(source, addresses.require_local(path, usage), platform, as_json=as_json, keep=True)


def _run(
    source: Address, target: Address, platform: str | None, *, as_json: bool, keep: bool = False
) -> None:
    """Copy, and tell of it; `keep` has this machine know what runs told of the model in it."""
    from cloche.images import platforms
    from cloche.pipeline import image as images
    from cloche.pipeline import image_copy

    wanted = platforms.parse(platform) if platform is not None else None
    here = session.begin()
    with images.registries(os.environ) as connections:
        copied = image_copy.copy(source, target, wanted, connections, here.progress)
    report = _described(source, target, copied)
    if keep:
        report |= _kept(source, target, copied, here)
    rendering.show_json(report) if as_json else _show(report)


def _described(source: Address, target: Address, copied: Copied) -> dict[str, Any]:
    amounts = copied.amounts
    return {
        "from": str(source), "to": str(target), "name": copied.name, "digest": copied.digest,
        "platforms": list(copied.platforms), "referrers": copied.referrers,
        "copied": amounts.copied, "there": amounts.there, "mounted": amounts.mounted,
        "seconds": round(copied.seconds, 3),
    }  # fmt: skip


def _kept(
    source: Address, target: Address, copied: Copied, here: session.Session
) -> dict[str, Any]:
    """Keep the verdicts beside a pulled image, and return what is told of them."""
    from cloche.artifacts import to_builtins
    from cloche.cli.image import description
    from cloche.clients.oci.reference import ImageReference
    from cloche.images.addresses import LocalAddress
    from cloche.pipeline import image_verdicts

    assert isinstance(source, ImageReference)  # noqa: S101 - pull has one of each
    assert isinstance(target, LocalAddress)  # noqa: S101 - the same
    taken = image_verdicts.take(copied, target.path, source, here.settings, here.progress)
    return {
        "verdicts": description.verdicts(taken.verdicts), "trusted": taken.trusted,
        "findings": to_builtins(taken.findings),
    }  # fmt: skip


def _show(report: dict[str, Any]) -> None:
    from cloche.cli.image import description

    for finding in report.get("findings", ()):
        click.echo(rendering.finding_text(convert(Finding, finding)))
    believed = "" if report.get("trusted") else " (plans know it; a deploy finds it out again)"
    amounts = [
        f"{size_text(report[what])} {words}"
        for what, words in (("there", "were there"), ("mounted", "shared within the registry"))
        if report[what]
    ]
    copied = ", ".join([size_text(report["copied"]), *amounts])
    pairs = [
        ("from", report["from"]),
        ("to", report["to"]),
        ("name", report["name"] if report["name"] != report["to"] else None),
        ("digest", report["digest"]),
        ("platform", ", ".join(report["platforms"])),
        ("copied", f"{copied}, in {duration_text(report['seconds'])}"),
        ("with it", f"{report['referrers']} that refer to it" if report["referrers"] else None),
        *(("verdict", f"{description.verdict_text(each)}{believed}")
          for each in report.get("verdicts", ())),
    ]  # fmt: skip
    click.echo(rendering.fields((name, value) for name, value in pairs if value))
