"""The verdicts beside an image: shown, and kept by a machine that pulls it or plans for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cloche import composition
from cloche.artifacts import Finding, Severity, Verdict
from cloche.clients.oci.reference import ImageReference
from cloche.errors import ClocheError, UnavailableError
from cloche.images import golden, verdicts
from cloche.images.copying import copying, model_files
from cloche.images.sources import reading, remote
from cloche.images.verdicts import Read
from cloche.pipeline import verdicts as known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloche.images.addresses import Address
    from cloche.images.image import Artifact
    from cloche.images.sources.reading import ReadImage
    from cloche.pipeline.image import Registries
    from cloche.pipeline.image_copy import Copied
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.store import Store

_NOTHING = Read((), ())


@dataclass(frozen=True, slots=True)
class Taken:
    """What a machine knows from an image that it pulled."""

    verdicts: tuple[Verdict, ...]
    """Those that it keeps."""
    trusted: bool
    """Whether a deploy goes by them."""
    findings: tuple[Finding, ...]


def beside(image: ReadImage, address: Address, connections: Registries) -> Read:
    """Return the verdicts beside an image that was read; what cannot be read is a finding."""
    if image.digest is None:
        return _NOTHING
    try:
        if isinstance(address, ImageReference):
            registry = connections.at(address.host)
            attached = remote.attached(
                registry, address.name, image.digest, verdicts.ARTIFACT, most=verdicts.MOST + 1
            )
        else:
            attached = reading.attached(address.path, image.digest, verdicts.ARTIFACT)
    except UnavailableError:
        raise
    except ClocheError as error:
        return Read((), (_unreadable(error),))
    return verdicts.read(image, attached)


def take(
    copied: Copied, path: Path, source: ImageReference, settings: Settings, progress: Progress
) -> Taken:
    """Keep the verdicts beside an image that was pulled to a path, and the files that they name.

    Of a trusted one the golden request and its answer are kept, too. Nothing here makes a pull
    fail.
    """
    trusted = known.is_trusted(str(source), settings)
    kept: list[Verdict] = []
    findings: list[Finding] = []
    for node in copying.images_of(copied.node):
        try:
            image = reading.of_digest(path, node.digest)
            attached = partial(reading.attached, path, node.digest)
            found = _take(image, attached, str(source), settings, progress, judge=trusted)
        except ClocheError as error:
            findings.append(_unreadable(error))
        else:
            findings += found.findings
            kept += [each for each in found.verdicts if each not in kept]
    return Taken(tuple(kept), trusted, tuple(dict.fromkeys(findings)))


def take_remote(
    source: ImageReference,
    model: str,
    connections: Registries,
    settings: Settings,
    progress: Progress,
) -> Taken:
    """Keep the verdicts beside an image in a registry, with all that a plan of its model needs.

    Nothing is taken of an image of another `model`, a digest. Raises ClocheError `registry.…`,
    `image.…` and `store.…`.
    """
    from cloche.pipeline import image as images

    trusted = known.is_trusted(str(source), settings)
    image = images.read_image(str(source), None, connections)
    if image.digest is None or golden.labels(image).get("cloche.model.digest") != model:
        return Taken((), trusted, ())
    registry = connections.at(source.host)
    attached = partial(remote.attached, registry, source.name, image.digest, most=verdicts.MOST + 1)
    found = _take(image, attached, str(source), settings, progress, judge=True)
    return Taken(found.verdicts, trusted, found.findings)


def _take(
    image: ReadImage,
    attached: Callable[[str], Iterable[Artifact]],
    source: str,
    settings: Settings,
    progress: Progress,
    *,
    judge: bool,
) -> Read:
    """Keep what is beside an image: its verdicts, with `judge` what judges an answer, too."""
    store = composition.store(settings)
    found = verdicts.read(image, attached(verdicts.ARTIFACT))
    if judge and found.verdicts:
        golden.read(image, attached(golden.ARTIFACT), store)
    for verdict in found.verdicts:
        _bring(verdict, image, store, progress)
        known.give(verdict, source, settings)
    return found


def _bring(verdict: Verdict, image: ReadImage, store: Store, progress: Progress) -> None:
    """Have the store hold the files of the conversion that a verdict names."""
    made = verdict.conversion
    if made is None:
        return
    size = sum(each.size for each in made.files)
    with store.working(), progress.task("Keeping the converted model", size) as task:
        if model_files.bring(image, made.files, store, task):
            store.put_tree(made.files, label="converted")


def _unreadable(error: ClocheError) -> Finding:
    what = f"What lies beside the image is not used: {error.what}"
    return Finding(Severity.WARNING, "image.verdict", what, where=error.where)
