"""What the verbs for builders of images share: their options, and the build context."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import Finding, convert, to_builtins
from cloche.cli import deploy, options, rendering, session, specification
from cloche.cli.image import description
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloche.artifacts import Deployment
    from cloche.images.bases.base import Base
    from cloche.images.layering.layers import Layer


@dataclass(frozen=True, slots=True)
class Asked:
    """What every verb is told."""

    model: str | None
    file: Path | None
    name: str | None
    example: Path | None
    base: str
    platform: str | None
    no_golden: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A build context, and what it is of."""

    here: session.Session
    deployment: Deployment
    base: Base
    context: Layer

    def report(self, output: Path) -> dict[str, Any]:
        """Return what was written, as the JSON of the verbs."""
        from cloche.images import golden
        from cloche.images.bases import base as bases

        return {
            "path": str(output.absolute()),
            "service": self.deployment.service,
            "base": self.base.annotations[bases.BASE_NAME],
            "base_digest": self.base.annotations[bases.BASE_DIGEST],
            "platform": str(self.base.platform),
            "files": len(self.context.files),
            "size": sum(file.size for file in self.context.files),
            "findings": [
                *description.findings(self.base.software),
                *to_builtins(golden.findings(self.deployment)),
            ],
        }


asked = options.stacked(
    options.model,
    options.file,
    options.name,
    options.example,
    click.option(
        "--base", required=True, metavar="IMAGE",
        help="The image with the server, in a registry.",
    ),
    click.option(
        "--platform", metavar="OS/ARCH",
        help="The platform, such as linux/arm64 (default: this one's).",
    ),
    click.option("--no-golden", is_flag=True, help="Leave the golden request out."),
)  # fmt: skip
"""The arguments and options of `Asked`."""


@contextmanager
def prepared(given: Asked, check: Callable[[], None]) -> Iterator[Prepared]:
    """Yield the build context of what was asked; `check` raises before anything is done."""
    from cloche import cache
    from cloche.images import platforms
    from cloche.images.bases import base as bases
    from cloche.pipeline import export
    from cloche.pipeline import image as images

    wanted = platforms.parse(given.platform) if given.platform is not None else platforms.here()
    check()
    here = session.begin()
    with cache.under_way(here.settings):
        with images.registries(os.environ) as connections:
            base = export.registry_base(given.base, wanted, connections)
        bases.require_server(base, given.base)
        chosen = specification.chosen(given.model, given.file, given.name, given.example)
        deployment = deploy.prepare(here, *chosen)
        if given.no_golden:
            deployment = replace(deployment, golden=None)
        context = export.build_context(
            deployment, base, settings=here.settings, progress=here.progress
        )  # fmt: skip
        yield Prepared(here, deployment, base, context)


def show(report: dict[str, Any], then: str) -> None:
    """Print what was written, and what to do `then`."""
    for finding in report["findings"]:
        click.echo(rendering.finding_text(convert(Finding, finding)))
    pairs = [
        ("written", report["path"]),
        ("base", f"{report['base']}  {report['platform']}  {report['base_digest']}"),
        ("files", f"{report['files']}, {size_text(report['size'])}"),
    ]
    click.echo(rendering.fields(pairs))
    click.echo(f"\n{then}")
