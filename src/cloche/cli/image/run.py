"""`cloche image run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cloche.cli import options, rendering, session, verify
from cloche.clients.engine.engine import KINDS

if TYPE_CHECKING:
    from cloche.pipeline.image_run import Ran


@click.command()
@click.argument("image", metavar="IMAGE|PATH")
@click.option(
    "--engine", type=click.Choice(KINDS), help="Default: Docker where it answers, else Podman."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N",
    help="The port of loopback where it answers (default: a free one).",
)  # fmt: skip
@click.option(
    "--timeout", type=options.duration, default="10m", show_default=True,
    help="How long it may take to get ready.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave the container running if its answer is right.")
@options.as_json
def run(
    *, image: str, engine: str | None, port: int | None, timeout: float, keep: bool, as_json: bool
) -> int:
    """Start an image in Docker or Podman, and verify it by the golden request that it brings.

    IMAGE is in a registry, from which the engine pulls it; PATH is an OCI layout or an archive. It
    runs on loopback alone, with a read-only root and no capabilities. Container and image are
    removed at the end.
    """
    from cloche import composition
    from cloche.clients.engine import engine as engines
    from cloche.pipeline import image as images
    from cloche.pipeline import image_run

    here = session.begin()
    found = engines.find(engine, os.environ)
    store = composition.store(here.settings)
    with session.terminable(), store.working(), images.registries(os.environ) as connections:
        tried = image_run.subject(image, found, connections, store)
        ran = image_run.run(
            tried, found, image_run.Trial(port or 0, timeout, keep),
            store=store, progress=here.progress, log=_show_log,
        )  # fmt: skip
    if as_json:
        _show_json(image, found.kind, ran)
    else:
        _show(found.kind, ran)
    return 0 if ran.verification.passed else 1


def _show_log(text: str) -> None:
    if text:
        click.echo(f"The container said at last:\n{text}", err=True)


def _show_json(image: str, engine: str, ran: Ran) -> None:
    from cloche.artifacts import to_builtins

    about = {"image": image, "digest": ran.digest, "engine": engine, "container": ran.container}
    rendering.show_json({**about, "model": ran.model, **to_builtins(ran.verification)})


def _show(engine: str, ran: Ran) -> None:
    verify.show(ran.model, ran.verification)
    if ran.container:
        end = f"{engine} rm -f {ran.container}"
        end += f" && {engine} rmi {ran.loaded}" if ran.loaded else ""
        click.echo(f"It goes on at {ran.verification.url}. End it: {end}")
