"""`cloche export`: files that work with no Cloche. Each verb is the module of its name."""

from __future__ import annotations

import click

from cloche.cli.export import adapter, dockerfile, kaniko, manifests


@click.group()
def command() -> None:
    """Write files that work with no Cloche: for other builders of images, and for GitOps."""


command.add_command(dockerfile.dockerfile)
command.add_command(kaniko.kaniko)
command.add_command(manifests.kubernetes)
command.add_command(manifests.kustomize)
command.add_command(manifests.helm)
command.add_command(adapter.prometheus_adapter)
