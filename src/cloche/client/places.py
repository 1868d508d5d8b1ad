"""Which place a client is about, and what is deployed there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloche.client.cluster import InCluster
from cloche.client.home import Home
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.client.place import Place
    from cloche.control import ControlPlane
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec


def chosen(
    control: ControlPlane | None,
    target: str | None,
    file: str | Path | None,
    *,
    settings: Settings,
    progress: Progress,
    environment: Mapping[str, str],
) -> tuple[ServiceSpec | None, Place]:
    """Return the place, and the spec whose targets it is among, if it is one of a cluster.

    Raises UsageError `client.target` and `usage.target`.
    """
    if target is None:
        return None, Home(settings, progress, environment, control)
    if control is not None:
        what = "A control plane and a target were given together."
        raise UsageError("client.target", what, hint="Give one of them.")
    from cloche import spec

    path = Path(file or "cloche.yaml")
    if not path.is_file():
        what, where = f"No cloche.yaml says what the target {target!r} is.", str(path.absolute())
        raise UsageError("usage.target", what, where=where, hint="Name one with `file`.")
    loaded = spec.load(path)
    place = loaded.place(target, path)
    return loaded, InCluster(place, settings, progress, environment)


def spec_of(
    model: str | Path,
    name: str | None,
    example: str | Path | None,
    targets: ServiceSpec | None,
) -> tuple[ServiceSpec, Path]:
    """Return what is to be deployed, and the folder that its relative paths start from.

    A model reference alone is deployed to the targets of `targets`.
    """
    from cloche import spec

    path = Path(model)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        loaded, directory = spec.load(path, name), path.absolute().parent
    else:
        directory = Path.cwd()
        loaded = spec.from_reference(str(model), name, directory=directory)
        if targets is not None:
            loaded = loaded.model_copy(update={"targets": targets.targets})
    if example is not None:
        loaded = loaded.with_example(Path(example).absolute())
    return loaded, directory
