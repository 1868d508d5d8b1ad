"""From a deployment to its image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import composition

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import Deployment
    from cloche.images.base import Base
    from cloche.images.image import Destination, Image
    from cloche.progress import Progress
    from cloche.settings import Settings


def build_image(
    deployment: Deployment, base: Base, output: Path, *, settings: Settings, progress: Progress
) -> Image:
    """Write the image of a deployment to an archive (`.tar`) or an OCI layout, and return it.

    Nothing is left at `output` if it fails. Raises ClocheError `image.…`.
    """
    from cloche.images import building, content

    store = composition.store(settings)
    repository = deployment.repository
    start = composition.servers()[repository.server].container(
        repository, store.tree_path(repository.digest)
    )
    contents = content.content_of(deployment, start, store)
    with _destination(output) as destination:
        return building.build(contents, base, store, destination, progress)


def check_output(output: Path) -> None:
    """Raise ClocheError `image.output` for a place that holds something else."""
    from cloche.images import archive, layout

    if _is_archive(output):
        archive.check(output)
    else:
        layout.check(output)


def _destination(output: Path) -> AbstractContextManager[Destination]:
    from cloche.images import archive, layout

    return archive.writing(output) if _is_archive(output) else layout.writing(output)


def _is_archive(output: Path) -> bool:
    return output.suffix == ".tar"
