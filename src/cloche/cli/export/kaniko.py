"""`cloche export kaniko`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from cloche.cli import options, rendering
from cloche.cli.export import context
from cloche.cli.image import build
from cloche.errors import UsageError

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_OBJECT = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@click.command()
@context.asked
@click.option("--tag", required=True, metavar="IMAGE", help="What the Job pushes: HOST/NAME:TAG.")
@click.option(
    "--executor", metavar="IMAGE",
    help="The image of kaniko, or of a fork of it (default: gcr.io/kaniko-project/executor:v1.24.0,"
    " the last one of its first maintainer).",
)  # fmt: skip
@click.option(
    "--secret", metavar="NAME",
    help="The secret with the credentials of the registry, of the type"
    " kubernetes.io/dockerconfigjson.",
)  # fmt: skip
@click.option(
    "--claim", metavar="NAME",
    help="The PersistentVolumeClaim that will hold the context (default: it is sent to the Job by"
    " `kubectl attach`).",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", required=True,
    help="The folder to write: a new one, or that of an earlier export.",
)  # fmt: skip
@options.as_json
def kaniko(
    *, tag: str, executor: str | None, secret: str | None, claim: str | None, output: Path,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Write a Kubernetes Job in which kaniko builds and pushes the image, and its context.

    The context is what `cloche export dockerfile` writes, as context.tar.gz. The comments in
    job.yaml say how it gets to the Job. The same inputs give the same bytes.
    """
    from cloche.clients.oci import reference as references
    from cloche.images.export.kaniko import EXECUTOR, Job
    from cloche.pipeline import export

    destination = build.checked_tag(tag, push=True)
    assert destination is not None  # noqa: S101 - for mypy: it has a text
    if executor is not None:
        references.parse(executor)
    for option, name in (("--secret", secret), ("--claim", claim)):
        _require_object(option, name)
    asked = context.Asked(**given)
    with context.prepared(asked, lambda: export.check_kaniko(output)) as made:
        job = Job(
            made.deployment.service, destination, made.base.platform, executor or EXECUTOR,
            secret, claim,
        )  # fmt: skip
        export.write_kaniko(
            made.context, job, output, settings=made.here.settings, progress=made.here.progress
        )  # fmt: skip
        report = {**made.report(output), "tag": str(destination), "job": job.name}
    command = (
        f"kubectl apply -f {output / 'job.yaml'}   # its comments say how the context gets there"
    )
    rendering.show_json(report) if as_json else context.show(report, command)


def _require_object(option: str, name: str | None) -> None:
    """Raise UsageError `export.object` for a name that no object of Kubernetes has."""
    if name is not None and not _OBJECT.fullmatch(name):
        raise UsageError(
            "export.object",
            f"{name!r} is no name of an object in Kubernetes.",
            where=option,
            hint="It has lower-case letters, digits, dashes and dots.",
        )
