"""From a deployment to the files by which others keep it in a cluster."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cloche import artifacts, composition
from cloche.pipeline import cluster_package
from cloche.pipeline import image as images
from cloche.pipeline.cluster_golden import GoldenBodies
from cloche.rollout.decide import placement
from cloche.targets import Desired
from cloche.targets.kubernetes.gitops import files, folder, objects
from cloche.targets.kubernetes.objects import probes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cloche.artifacts import Deployment, KubernetesPlace
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.targets.kubernetes.gitops.folder import Written

KUSTOMIZE, HELM = "kustomize", "helm"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what it holds."""

    image: str
    objects: tuple[str, ...]
    """`Deployment scores`."""
    files: Written


def export(
    deployment: Deployment,
    place: KubernetesPlace,
    form: str,
    output: Path,
    *,
    addons: Collection[str],
    overwrite: bool,
    environment: Mapping[str, str],
    settings: Settings,
    progress: Progress,
) -> Exported:
    """Push the image of a deployment, and write the objects of its service to a folder.

    The cluster is not asked; whether the folder may be written is asked again at the end. Raises
    ClocheError `export.…`, `image.…` and `registry.…`.
    """
    with ExitStack() as stack:
        connections = stack.enter_context(images.registries(environment))
        packed = cluster_package.for_others(
            deployment, place, connections, settings=settings, progress=progress
        )
        bodies = GoldenBodies(composition.store(settings), connections)
        content = probes.content(packed, partial(bodies.read, packed))
    placed = placement(artifacts.Revision(packed.service, 0, packed.digest, packed, ""),
                       packed.operated)  # fmt: skip
    service = objects.service(placed, Desired(packed.service, operated=packed.operated), content)
    found = objects.of(service, place.namespace, addons)
    contents = _contents(packed, place, form, found)
    written = folder.write(output, contents, overwrite=overwrite)
    named = tuple(f"{each['kind']} {each['metadata']['name']}" for each in found)
    return Exported(packed.image or "", named, written)


def _contents(
    packed: Deployment, place: KubernetesPlace, form: str, found: list[dict[str, object]]
) -> dict[str, str]:
    if form == HELM:
        mark = packed.digest.removeprefix("sha256:")[:_DIGITS]
        return files.helm(found, packed.service, f"1.0.0+{mark}", packed.main.snapshot.pinned)
    if form == KUSTOMIZE:
        return files.kustomize(found, place.namespace)
    return files.kubernetes(found)
