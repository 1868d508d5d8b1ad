"""Folders of timm, as `save_for_hf` and `push_to_hf_hub` write them, and its authors publish.

config.json has the name of the architecture, its arguments, and how pixels are scaled; the weights
are beside it. https://huggingface.co/docs/timm/hf_hub
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Finding, Loading, Severity
from cloche.errors import ClocheError
from cloche.formats import unloaded, weight_files

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

KIND = "timm"
_LARGEST = 16 * 2**20


def weights_at(path: Path) -> Path | None:
    """Return the weights of a folder of timm, or the file itself if it is weights in one."""
    folder = path.parent if path.is_file() else path
    if not _is_one(_configuration(folder / weight_files.CONFIGURATION)):
        return None
    if path.is_file():
        return path if weight_files.is_weights(path.name) else None
    names = weight_files.listed(folder)
    found = (folder / name for name in weight_files.NAMES if name in names)
    return None if weight_files.is_exported(names) else next(found, None)


def inspect(
    snapshot: ModelSnapshot, root: Path, options: ModelOptions, requirements: tuple[str, ...]
) -> ModelFacts:
    """Return what the configuration tells; `requirements` are those of the library.

    Raises ClocheError for one without an architecture.
    """
    config = _configuration(root / weight_files.CONFIGURATION)
    architecture = config["architecture"]
    if not isinstance(architecture, str):
        raise ClocheError(
            "inspection.pytorch.timm",
            "config.json does not name the architecture.",
            where=snapshot.pinned,
            hint="Save the model again: timm.models.save_for_hf(model, FOLDER).",
        )
    findings = _pixels(config["pretrained_cfg"])
    if not options.requirements:
        findings.append(unloaded.assumed(requirements, "the newest that were tested"))
    environment = unloaded.Environment(
        options.python or unloaded.PYTHON, options.requirements or requirements, tuple(findings)
    )
    return unloaded.facts(
        snapshot,
        f"pytorch, {architecture} of timm",
        Loading("pytorch", KIND, "."),
        environment,
        labels=_labels(config),
    )


def _pixels(configured: dict[str, Any]) -> list[Finding]:
    """Return what a request has: the pixels as the model was trained with them."""
    shape, mean, spread = (configured.get(key) for key in ("input_size", "mean", "std"))
    if not (isinstance(shape, list) and mean and spread):
        return []
    size = " × ".join(str(each) for each in shape)
    what = f"A request has pixels ({size}), scaled to 0 … 1, less {mean} and divided by {spread}."
    hint = "The image's own size and colours as a part of the service come in a later version."
    return [Finding(Severity.NOTE, "inspection.pytorch.pixels", what, hint=hint)]


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    named = config.get("label_names") or config["pretrained_cfg"].get("label_names")
    names = named if isinstance(named, list) else []
    whole = all(isinstance(name, str) and name for name in names)
    count = config.get("num_classes", len(names))
    return tuple(names) if whole and len(names) == count else ()


def _is_one(config: dict[str, Any]) -> bool:
    return "architecture" in config and isinstance(config.get("pretrained_cfg"), dict)


def _configuration(path: Path) -> dict[str, Any]:
    """Return the content of config.json; empty for anything that is none of timm's."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, RecursionError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
