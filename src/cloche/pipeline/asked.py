"""What a deployment is made from: its model, what the spec asks, and the digest of all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import artifacts, composition
from cloche.pipeline.stages import resolve
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class Asked:
    """A spec, with what it names."""

    spec: ServiceSpec
    snapshot: ModelSnapshot
    example: Path | None
    """The file of its example."""
    labels: tuple[str, ...]
    """The names of classes in its file; empty without one."""
    key: str
    """The digest of everything that the prepared result depends on."""
    verdict: str
    """The digest of what a run of the model depends on, whatever its service is called."""


def of(
    spec: ServiceSpec,
    directory: Path,
    settings: Settings,
    *,
    progress: Progress,
    environment: Mapping[str, str],
    run_model: bool,
) -> Asked:
    """Return what a spec asks, its model resolved; relative paths start from `directory`.

    Raises ClocheError as `resolve` does, and for an example or labels that cannot be read.
    """
    from cloche import environments

    example, digest = _example(spec, directory)
    labels = _labels(spec, directory)
    builds = environments.choice(environment, settings.environments_pytorch_index)
    snapshot = resolve(
        spec.model, directory=directory, store=composition.store(settings), progress=progress,
        environment=environment, trust=spec.trust,
    )  # fmt: skip
    model = [__version__, snapshot.digest, snapshot.format, snapshot.entry, digest, labels, builds]
    served = spec.served()
    whole = [*model, spec.service_name, artifacts.asked_for(served), snapshot.metadata, run_model]
    said = snapshot.metadata
    recorded = [said.signature, said.input_example, said.requirements, said.python]
    how = [artifacts.asked_for(served.model), artifacts.asked_for(served.sandbox)]
    verdict = _hex_of([*model, recorded, how])
    return Asked(spec, snapshot, example, labels, _hex_of(whole), verdict)


def _hex_of(inputs: list[object]) -> str:
    return artifacts.digest_of(artifacts.encode(inputs)).removeprefix("sha256:")


def _example(spec: ServiceSpec, directory: Path) -> tuple[Path | None, str | None]:
    """Return the file of a spec's example, and the digest of its content."""
    if spec.example is None:
        return None, None
    from cloche.verification import spec_example

    path = directory / spec.example
    return path, spec_example.digest_of_file(path)


def _labels(spec: ServiceSpec, directory: Path) -> tuple[str, ...]:
    """Return the names of classes in a spec's file; empty without one."""
    if spec.labels is None:
        return ()
    from cloche.inputs import label_file

    return label_file.read(directory / spec.labels)
