"""Images in the form of `docker save` before Docker 25, which podman writes still.

They have configurations and layers, and no manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.images.destinations.digesting import digest_of_stream
from cloche.images.image import CONFIG, LAYER, Descriptor, SmallBlob
from cloche.images.sources import places
from cloche.images.sources.places import StoredBlob

if TYPE_CHECKING:
    from cloche.images.sources.places import Place, Range


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image of an archive."""

    config: SmallBlob
    layers: tuple[StoredBlob, ...]
    names: tuple[str, ...]


def images(place: Place, name: str | None) -> list[SavedImage]:
    """Return the images of a name, or all; raises ClocheError `image.unknown`, `.broken`, `.name`.

    Compressed layers are read for their digests.
    """
    found = place.find("manifest.json")
    if found is None:
        raise places.unknown(place.path, "it has neither index.json nor manifest.json")
    entries = places.document(place, found)
    try:
        chosen = [each for each in entries if name in {None, *_names(each)}]
        if not chosen:
            known = (each for entry in entries for each in _names(entry))
            raise places.unnamed(place.path, name, known)
        return [_image(place, entry) for entry in chosen]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifest.json lacks {error}") from error


def _image(place: Place, entry: dict[str, Any]) -> SavedImage:
    config = _found(place, entry["Config"]).read()
    diff_ids = places.parsed(place, config)["rootfs"]["diff_ids"]
    ranges = [_found(place, name) for name in entry["Layers"]]
    if len(ranges) != len(diff_ids):
        raise places.broken(place.path, "layers and diff_ids differ in number")
    layers = tuple(map(_layer, ranges, diff_ids))
    return SavedImage(SmallBlob(config, CONFIG), layers, _names(entry))


def _names(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(entry.get("RepoTags") or ())


def _layer(found: Range, diff_id: str) -> StoredBlob:
    """Return a layer with its digest: that of a tar stream is its diff_id."""
    compressed = next(found.chunks(), b"")[:2] == b"\x1f\x8b"
    if not compressed:
        return StoredBlob(Descriptor(LAYER, diff_id, found.size), found)
    digest = digest_of_stream(found.chunks())
    return StoredBlob(Descriptor(f"{LAYER}+gzip", digest, found.size), found)


def _found(place: Place, name: str) -> Range:
    found = place.find(name)
    if found is None:
        raise places.broken(place.path, f"{name} is missing")
    return found
