"""From a deployment to what other builders make its image from."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche import composition
from cloche.errors import UsageError
from cloche.pipeline.base_image import NAME
from cloche.pipeline.image import container_start, read_base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.artifacts import Deployment
    from cloche.images.bases.base import Base
    from cloche.images.export.build_context import Locked
    from cloche.images.export.kaniko import Job
    from cloche.images.image import Blob, Platform
    from cloche.images.layering.layers import Layer
    from cloche.pipeline.image import Registries
    from cloche.progress import Progress, Task
    from cloche.settings import Settings
    from cloche.store import Store


def registry_base(text: str, platform: Platform, connections: Registries) -> Base:
    """Return the base of a reference, which other builders can pull.

    Raises UsageError `export.base` for one that no registry has, and what `read_base` does.
    """
    from cloche.images import addresses

    if text == NAME or addresses.is_local(text):
        push = "cloche image base --push --tag HOST/NAME:TAG"
        if text != NAME:
            push = f"cloche image push {text} HOST/NAME:TAG"
        raise UsageError(
            "export.base",
            "Other builders pull the base from a registry, and this one is on this machine.",
            where=text,
            hint=f"Push it, `{push}`, and write --base HOST/NAME:TAG.",
        )
    return read_base(text, platform, connections)


def build_context(
    deployment: Deployment, base: Base, *, settings: Settings, progress: Progress
) -> Layer:
    """Return the build context of a deployment's image, whose files are then in the store.

    Raises ClocheError `image.…` and those of `interpreter.plan` and `unpacking.unpack`.
    """
    from cloche.images import content
    from cloche.images.export import build_context as contexts

    store = composition.store(settings)
    with store.working():
        locked, pip = _locked(deployment, base, store, progress)
        environments = {each.lock.digest: each.environment for each in locked}
        start = container_start(deployment, base, store)
        contents = content.content_of(deployment, base, start, environments, store)
        return contexts.assemble(contents, base, locked, pip, store)


def check_folder(output: Path) -> None:
    """Raise ClocheError `export.output` for a folder that holds something else."""
    from cloche.images.export import build_context as contexts
    from cloche.images.export import context_folder

    context_folder.check(output, contexts.NAMES)


def write_folder(context: Layer, output: Path, *, settings: Settings, progress: Progress) -> None:
    """Write a build context to a folder; raises ClocheError `export.output` and `image.…`."""
    from cloche.images.export import build_context as contexts
    from cloche.images.export import context_folder

    with (
        _read(context, settings, progress) as chunks,
        context_folder.writing(output, contexts.NAMES) as folder,
    ):
        context_folder.unpack(chunks, folder)


def check_kaniko(output: Path) -> None:
    """Raise ClocheError `export.output` for a folder that holds something else."""
    from cloche.images.export import context_folder, kaniko

    context_folder.check(output, kaniko.NAMES)


def write_kaniko(
    context: Layer, job: Job, output: Path, *, settings: Settings, progress: Progress
) -> None:
    """Write a build context as an archive, and a Job that builds it; raises as `write_folder`."""
    from cloche.images.export import context_folder, gzip_stream, kaniko

    with (
        _read(context, settings, progress) as chunks,
        context_folder.writing(output, kaniko.NAMES) as folder,
    ):
        with (folder / kaniko.ARCHIVE).open("wb") as file:
            for chunk in gzip_stream.stored(chunks):
                file.write(chunk)
        (folder / kaniko.JOB).write_text(job.text(), encoding="utf-8")


@contextmanager
def _read(context: Layer, settings: Settings, progress: Progress) -> Iterator[Iterator[bytes]]:
    """Yield a build context as a tar stream."""
    store = composition.store(settings)
    with store.working(), progress.task("Writing the build context", context.size) as task:
        yield _counted(context.chunks(store), task)


def _locked(
    deployment: Deployment, base: Base, store: Store, progress: Progress
) -> tuple[tuple[Locked, ...], Blob | None]:
    """Return the locks with their Pythons, and pip where there is one."""
    from cloche.images.export import installer
    from cloche.images.export.build_context import Locked
    from cloche.images.layering import environment
    from cloche.images.layering.layers import MadeLayer
    from cloche.images.layering.place import place_of

    locks = deployment.installed_locks
    if not locks:
        return (), None
    start, locked = container_start(deployment, base, store), []
    with progress.task("Preparing the installation of packages") as task:
        for lock in locks:
            place = place_of(lock, base, start)
            with store.laid_out(()) as folder:
                plans = environment.brought(place, base, folder, os.environ)
                layers = tuple(MadeLayer(plan.what, plan.made(store, task)) for plan in plans)
            locked.append(Locked(lock, environment.Environment(place, layers)))
        with store.laid_out(()) as folder:
            return tuple(locked), installer.plan(folder, os.environ).made(store, task)


def _counted(chunks: Iterator[bytes], task: Task) -> Iterator[bytes]:
    for chunk in chunks:
        task.advance(len(chunk))
        yield chunk
