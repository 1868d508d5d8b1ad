"""The model card of a repository: the YAML at the beginning of its README.md, as metadata.

https://huggingface.co/docs/hub/model-cards, whose keys are kept as they are. Metrics stand in
`model-index`, in the form of Papers with Code: results, each with a data set and its metrics.
A card that cannot be read tells nothing; it is no reason to refuse a model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ModelMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 2**19
"""Characters of YAML; longer ones take seconds to read."""
_LONGEST = 2_000
_KEYS = (
    "license", "license_name", "license_link", "pipeline_tag", "library_name", "language",
    "base_model", "datasets", "tags",
)  # fmt: skip


def metadata_of(text: str) -> ModelMetadata:
    """Return what a model card says: tags by the card's own keys, metrics as `METRIC on DATA`."""
    card = _front_matter(text)
    tags = {key: said for key in _KEYS if (said := _said(card.get(key)))}
    return ModelMetadata(tags=tags, metrics=dict(_metrics(card.get("model-index"))))


def _front_matter(text: str) -> dict[Any, Any]:
    """Return the mapping between the lines `---`; empty if there is none, or it is broken."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    matter = "\n".join(lines[1:end]) if end is not None else ""
    if not matter or len(matter) > _LARGEST:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        read = YAML(typ="safe", pure=True).load(matter)
    except YAMLError:
        return {}
    except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError):
        # A date with a month 99, a number of 5,000 digits, 1,000 open brackets.
        return {}
    return read if isinstance(read, dict) else {}


def _said(value: Any) -> str:
    """Return a value of the card as text: lists with commas, anything deeper left out."""
    parts = value if isinstance(value, list) else [value]
    plain = [str(part) for part in parts if isinstance(part, str | int | float)]
    return " ".join(", ".join(plain).split())[:_LONGEST]


def _metrics(index: Any) -> Iterator[tuple[str, float]]:
    for entry in _mappings(index):
        for result in _mappings(entry.get("results")):
            data = result.get("dataset")
            on = _said(data.get("name") or data.get("type")) if isinstance(data, dict) else ""
            for metric in _mappings(result.get("metrics")):
                name = _said(metric.get("type") or metric.get("name"))
                value = _number(metric.get("value"))
                if name and value is not None:
                    yield (f"{name} on {on}" if on else name), value


def _mappings(value: Any) -> list[dict[Any, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
