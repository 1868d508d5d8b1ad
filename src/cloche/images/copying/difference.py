"""In what two images differ: layers, settings, files, and how many bytes would travel."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cloche.images.config import what_of_layers
from cloche.images.copying.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.images.image import Blob, Descriptor
    from cloche.images.sources.reading import ReadImage
    from cloche.progress import Progress

_SETTINGS = {
    "User": "user", "Entrypoint": "entrypoint", "Cmd": "command", "WorkingDir": "folder",
    "ExposedPorts": "ports", "Volumes": "volumes", "StopSignal": "stop signal",
    "Healthcheck": "health check",
}  # fmt: skip


class Side(StrEnum):
    """Which of two images has something."""

    BOTH = "both"
    A = "a"
    B = "b"


class Change(StrEnum):
    """What became of a file from A to B."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """A layer, and which image has it."""

    descriptor: Descriptor
    what: str
    side: Side


@dataclass(frozen=True, slots=True)
class FileDifference:
    """A file that differs by its content; sizes are None where it is not, or not known."""

    path: str
    change: Change
    size_a: int | None
    size_b: int | None


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting; None is not set."""

    setting: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """In what two images differ."""

    layers: tuple[LayerDifference, ...]
    settings: tuple[SettingDifference, ...]
    travels: int
    """Bytes of layers that a registry with A lacks of B."""


@dataclass(frozen=True, slots=True)
class FileDifferences:
    """The files that differ in the layers that are not in both images."""

    files: tuple[FileDifference, ...]
    unread: tuple[str, ...]
    """Digests of layers that cannot be read here: they are compressed by zstd."""


def is_same(a: ReadImage, b: ReadImage) -> bool:
    """Return whether two images are one; those without a manifest by what it would name."""
    if a.digest and b.digest:
        return a.digest == b.digest
    return a.config == b.config and _digests(a) == _digests(b)


def compare(a: ReadImage, b: ReadImage) -> Difference:
    """Return the layers and settings of two images; no layer is read."""
    new = [each for each in _layers(b, a, Side.B) if each.side is Side.B]
    sizes = {each.descriptor.digest: each.descriptor.size for each in new}
    layers = (*_layers(a, b, Side.A), *new)
    return Difference(layers, tuple(_settings(a, b)), sum(sizes.values()))


def compare_files(a: ReadImage, b: ReadImage, progress: Progress) -> FileDifferences:
    """Return the files that differ; layers whose files are in both images are not read.

    Raises ClocheError `image.…` and `registry.…`.
    """
    only_a, only_b = _unshared(a, b), _unshared(b, a)
    total = sum(layer.descriptor.size for layer in (*only_a, *only_b))
    files_a, files_b = Overlay(), Overlay()
    with progress.task("Comparing files", total) as task:
        unread = [
            layer.descriptor.digest
            for files, layers in ((files_a, only_a), (files_b, only_b))
            for layer in layers if not files.add(layer, task)
        ]  # fmt: skip
    return FileDifferences(tuple(_files(files_a, files_b)), tuple(unread))


def _digests(image: ReadImage) -> list[str]:
    return [layer.descriptor.digest for layer in image.layers]


def _layers(image: ReadImage, other: ReadImage, side: Side) -> list[LayerDifference]:
    there = set(_digests(other))
    return [
        LayerDifference(
            layer.descriptor, what, Side.BOTH if layer.descriptor.digest in there else side
        )
        for layer, what in zip(image.layers, what_of_layers(image.config), strict=True)
    ]


def _unshared(image: ReadImage, other: ReadImage) -> list[Blob]:
    """Return the layers whose files are not in another image, however they are compressed."""
    there = set(other.config["rootfs"]["diff_ids"])
    of_layers = zip(image.layers, image.config["rootfs"]["diff_ids"], strict=True)
    return [layer for layer, diff_id in of_layers if diff_id not in there]


def _files(a: Overlay, b: Overlay) -> Iterator[FileDifference]:
    for path in sorted(a.files.keys() | b.files.keys() | a.removed ^ b.removed):
        before, after = a.files.get(path), b.files.get(path)
        if before is not None and after is not None:
            if before.content != after.content:
                yield FileDifference(path, Change.CHANGED, before.size, after.size)
        elif before is not None or (after is None and path in b.removed):
            yield FileDifference(path, Change.REMOVED, before.size if before else None, None)
        else:
            yield FileDifference(path, Change.ADDED, None, after.size if after else None)


def _settings(a: ReadImage, b: ReadImage) -> Iterator[SettingDifference]:
    before, after = _said(a), _said(b)
    for setting in dict.fromkeys((*before, *after)):
        if before.get(setting) != after.get(setting):
            yield SettingDifference(setting, before.get(setting), after.get(setting))


def _said(image: ReadImage) -> dict[str, str]:
    """Return all settings of an image as text."""
    container = image.config.get("config") or {}
    labels = container.get("Labels") or {}
    environment = (entry.partition("=")[::2] for entry in container.get("Env") or [])
    annotations = {key: text for key, text in image.annotations.items() if labels.get(key) != text}
    return {
        "platform": str(image.platform),
        **{name: _text(container[key]) for key, name in _SETTINGS.items() if container.get(key)},
        **{f"env {name}": text for name, text in environment},
        **{f"label {name}": str(text) for name, text in sorted(labels.items())},
        **{f"annotation {name}": str(text) for name, text in sorted(annotations.items())},
    }


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(sorted(map(str, value)))
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value)
