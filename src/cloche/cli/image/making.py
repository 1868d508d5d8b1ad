"""`cloche image build` where something is new: the image is made, and what came of it told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche import cache
from cloche.artifacts import to_builtins
from cloche.cli import deploy, session, specification
from cloche.cli.image import description
from cloche.clients.oci import reference as references
from cloche.images import golden, names, verdicts
from cloche.images.bases import base as bases
from cloche.images.bases import ngc
from cloche.pipeline import base_image
from cloche.pipeline import image as images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.artifacts import Deployment
    from cloche.cli.image.words import Words
    from cloche.images.bases.base import Base
    from cloche.images.image import Platform
    from cloche.pipeline.image import Built, Registries
    from cloche.pipeline.image_again import BuildCommand
    from cloche.spec import ServiceSpec


def run(
    words: Words, wanted: Sequence[Platform], here: session.Session, asked: BuildCommand
) -> dict[str, Any]:
    """Make the image for each platform, and return what is told of it; it is remembered.

    Raises ClocheError `image.…`, `registry.…`, and those of preparing a model.
    """
    asked_of = _asked_of(here, words)
    base = words.base if words.base is not None else ngc.asked_for(asked_of.release)
    with cache.under_way(here.settings):
        if asked_of.spec is not None:
            asked.watch(asked_of.spec, asked_of.directory, base)
        how: dict[str, Any] = {"settings": here.settings, "progress": here.progress}
        chosen = [base_image.chosen(base, each, asked.connections, **how) for each in wanted]
        for each in chosen:
            bases.require_server(each, base)
        if words.output is not None:
            images.check_output(words.output, len(wanted), split=words.split)
        deployment = asked_of.deployment(here)
        if words.no_golden:
            deployment = replace(deployment, golden=None)
        made = _made(words, deployment, chosen, here, asked.connections)
        report = _report(words, deployment, made)
        asked.keep(deployment, made, report)
    return report


def _made(
    words: Words,
    deployment: Deployment,
    chosen: Sequence[Base],
    here: session.Session,
    connections: Registries,
) -> Built:
    """Write the image, push it, or both."""
    how: dict[str, Any] = {
        "settings": here.settings, "progress": here.progress, "split": words.split,
    }  # fmt: skip
    if words.output is not None:
        called = names.parse(words.tag) if words.tag else None
        made = images.write_image(deployment, chosen, words.output, name=called, **how)
    if words.push and words.tag is not None:
        reference = references.parse(words.tag)
        made = images.push_image(deployment, chosen, reference, connections, **how)
    return made


def _report(words: Words, deployment: Deployment, made: Built) -> dict[str, Any]:
    told = verdicts.of(deployment)
    report = description.of_built(made, words.output, (told,) if told is not None else ())
    report["golden"] = _golden(deployment)
    report["findings"] += to_builtins(golden.findings(deployment))
    if made.server is not None:
        report["server_image"] = description.of_built(made.server, words.output)
    if words.push:
        report["pushed"] = str(references.parse(str(words.tag)))
    return report


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


def _asked_of(here: session.Session, words: Words) -> _AskedOf:
    """Return what is in the image: that of a service by its name, else that of a model."""
    model = words.model
    is_bare = words.name is None and words.example is None
    if model is not None and is_bare and here.deployed():
        from cloche.pipeline import recorded

        is_word = not any(mark in model for mark in "/:.") and not Path(model).exists()
        found = recorded.deployment_of(model, settings=here.settings) if is_word else None
        if found is not None:
            return _AskedOf(found)
    return _AskedOf(None, *specification.chosen(model, words.file, words.name, words.example))


def _golden(deployment: Deployment) -> dict[str, Any] | None:
    """Return what travels to verify the image by."""
    asked = deployment.golden
    return {"origin": asked.origin, "judge": asked.judge, "why": asked.why} if asked else None
