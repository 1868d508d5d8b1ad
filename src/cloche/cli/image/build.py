"""`cloche image build`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import to_builtins
from cloche.cli import deploy, options, rendering, session, specification
from cloche.cli.image import description
from cloche.errors import UsageError
from cloche.images.bases import ngc

if TYPE_CHECKING:
    from cloche.artifacts import Deployment
    from cloche.clients.oci.reference import ImageReference
    from cloche.spec import ServiceSpec


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
def build(
    *, model: str | None, file: Path | None, name: str | None, example: Path | None,
    base: str | None, output: Path | None, tag: str | None, push: bool, platform: str | None,
    no_golden: bool, split: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make the image of MODEL, or of ./cloche.yaml, in a registry, a folder or a file.

    MODEL is a file, a folder or a model of a registry, as for `cloche deploy`, or the name of a
    service: then what it serves is in the image, as it was verified. The model repository in it is,
    byte for byte, the one that `cloche deploy` serves. The same inputs give the same digest
    everywhere.
    """
    from cloche import cache
    from cloche.images import golden, names, platforms
    from cloche.images.bases import base as bases
    from cloche.pipeline import base_image
    from cloche.pipeline import image as images

    reference = checked_tag(tag, push=push)
    require_place(output, push=push)
    wanted = platforms.parse_all(platform) if platform is not None else (platforms.here(),)
    called = names.parse(tag) if tag else None
    here = session.begin()
    how: dict[str, Any] = {"settings": here.settings, "progress": here.progress, "split": split}
    asked_of = _asked_of(here, model, file, name, example)
    base = base if base is not None else ngc.asked_for(asked_of.release)
    with cache.under_way(here.settings), images.registries(os.environ) as connections:
        asked: dict[str, Any] = {"settings": here.settings, "progress": here.progress}
        chosen = [base_image.chosen(base, each, connections, **asked) for each in wanted]
        for each in chosen:
            bases.require_server(each, base)
        if output is not None:
            images.check_output(output, len(wanted), split=split)
        deployment = asked_of.deployment(here)
        if no_golden:
            deployment = replace(deployment, golden=None)
        if output is not None:
            made = images.write_image(deployment, chosen, output, name=called, **how)
        if push and reference is not None:
            made = images.push_image(deployment, chosen, reference, connections, **how)
    report = description.of_built(made, output)
    report["golden"] = _golden(deployment)
    report["findings"] += to_builtins(golden.findings(deployment))
    if made.server is not None:
        report["server_image"] = description.of_built(made.server, output)
    if push:
        report["pushed"] = str(reference)
    rendering.show_json(report) if as_json else description.show(report)


@dataclass(frozen=True, slots=True)
class _AskedOf:
    """What an image is made of: what a service serves, or else a spec and the folder of it."""

    recorded: Deployment | None
    spec: ServiceSpec | None = None
    directory: Path = Path()

    @property
    def release(self) -> str | None:
        """Return the release of the server that it asks for."""
        served = self.recorded.served if self.recorded is not None else None
        if self.spec is not None:
            served = self.spec.served()
        return served.server.release if served is not None else None

    def deployment(self, here: session.Session) -> Deployment:
        """Return what is in the image; a model is prepared."""
        if self.recorded is not None:
            return self.recorded
        assert self.spec is not None  # noqa: S101 - one of both
        return deploy.prepare(here, self.spec, self.directory)


def _asked_of(
    here: session.Session,
    model: str | None,
    file: Path | None,
    name: str | None,
    example: Path | None,
) -> _AskedOf:
    """Return what is in the image: that of a service by its name, else that of a model."""
    if model is not None and name is None and example is None and here.deployed():
        from cloche.pipeline import recorded

        is_word = not any(mark in model for mark in "/:.") and not Path(model).exists()
        found = recorded.deployment_of(model, settings=here.settings) if is_word else None
        if found is not None:
            return _AskedOf(found)
    return _AskedOf(None, *specification.chosen(model, file, name, example))


def _golden(deployment: Deployment) -> dict[str, Any] | None:
    """Return what travels to verify the image by."""
    asked = deployment.golden
    return {"origin": asked.origin, "judge": asked.judge, "why": asked.why} if asked else None


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
