"""The configuration of an image: what its container runs, and the layers it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import encode
from cloche.images.content import ENTRYPOINT
from cloche.images.image import CONFIG, SmallBlob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloche.images.content import Content
    from cloche.images.layering.layers import MadeLayer, StoredLayer

USER = "1000:1000"
"""Numbers, since Kubernetes cannot tell whether a name is that of root."""
_KEPT = frozenset({"architecture", "os", "os.version", "os.features", "variant", "author"})
CREATED = "1980-01-01T00:00:00Z"
"""The time of everything that is made here, as of all stored files."""


def compose(
    base: Mapping[str, Any],
    content: Content,
    layers: Sequence[StoredLayer | MadeLayer],
    labels: dict[str, str],
) -> SmallBlob:
    """Return the configuration of a base with a service's layers on it."""
    diff_ids = [layer.descriptor.digest for layer in layers]  # they are not compressed
    config: dict[str, Any] = {
        **{key: value for key, value in base.items() if key in _KEPT},
        "created": CREATED,
        "config": _container(base.get("config") or {}, content, labels),
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base["rootfs"]["diff_ids"], *diff_ids],
        },
        "history": [*history(base), *(_made(layer) for layer in layers)],
    }
    return SmallBlob(encode(config), CONFIG)


def history(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the history of an image with an entry for each of its layers.

    Builders may leave it out, and others end with an error where a layer has none.
    """
    entries: list[dict[str, Any]] = [dict(entry) for entry in config.get("history") or []]
    told = sum(not entry.get("empty_layer") for entry in entries)
    layers = len(config["rootfs"]["diff_ids"])
    if told > layers:  # a broken history tells nothing
        entries, told = [], 0
    return entries + [{"created": CREATED, "comment": "of the base"}] * (layers - told)


def what_of_layers(config: Mapping[str, Any]) -> list[str]:
    """Return in a few words what each layer of an image is, the undermost first."""
    told = (entry for entry in history(config) if not entry.get("empty_layer"))
    return [entry.get("comment") or entry.get("created_by") or "" for entry in told]


def _made(layer: StoredLayer | MadeLayer) -> dict[str, Any]:
    return {"created": CREATED, "created_by": "cloche image build", "comment": layer.what}


def _container(
    base: Mapping[str, Any], content: Content, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return how the container starts: the base's environment and labels, and ours over them."""
    kept = {"Env", "Labels", "ExposedPorts", "StopSignal", "Volumes"}
    environment = dict(entry.partition("=")[::2] for entry in base.get("Env") or [])
    environment |= content.environment
    return {
        **{key: value for key, value in base.items() if key in kept},
        "User": USER,
        "WorkingDir": "/",
        **({"Entrypoint": [f"/{ENTRYPOINT}"]} if content.entrypoint else {}),
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "ExposedPorts": {
            **(base.get("ExposedPorts") or {}), **{f"{port}/tcp": {} for port in content.ports},
        },
        "Labels": {**(base.get("Labels") or {}), **labels},
    }  # fmt: skip
