"""The facts of a file of PyTorch that is not loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Loading
from cloche.errors import ClocheError, UsageError
from cloche.formats import unloaded
from cloche.formats.pytorch.archive import Contents, Kind, contents

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

TESTED = {"torch": "2.15.0", "torchvision": "0.29.2", "timm": "1.0.31"}
"""The newest releases that were tried here, for files that name none."""
OF_TIMM = tuple(f"{name}=={version}" for name, version in TESTED.items())
_PACKAGES = {"torchvision": "torchvision", "timm": "timm", "transformers": "transformers"}
"""The package on the index of a class's first module, where it is known."""
_KINDS = {
    Kind.TORCHSCRIPT: "TorchScript",
    Kind.EXPORTED: "an exported program",
    Kind.MODULE: "a whole module",
    Kind.STATE_DICT: "weights alone (a state dict)",
    Kind.SAFETENSORS: "weights alone (safetensors)",
}


_SHOWN = 6
_OF_EVERY_MODULE = frozenset({"__builtin__.set", "builtins.set"})
_LIBRARIES = {
    "ultralytics": ("a model of Ultralytics (YOLO), in a dictionary with what its training left",
                    "Export it, YOLO(FILE).export(format='onnx'), and deploy the ONNX file."),
    "models": ("a checkpoint of YOLOv5 or one like it, whose classes are those of its repository",
               "Export it there, python export.py --weights FILE --include onnx, and deploy that."),
    "fastai": ("a Learner of fastai, with its data and its training",
               "Export its network, learn.model.eval(), with torch.export.save."),
    "flair": ("a model of Flair",
              "Log it with mlflow.pyfunc.log_model, which serves it as a Python function."),
}  # fmt: skip
"""Libraries by the module of their classes, whose files are no modules alone: what, and what to
do."""


def _library(held: Contents, options: ModelOptions, where: str) -> None:
    """Refuse a file of a library that nothing installs; raises ClocheError."""
    first = {name.partition(".")[0] for name in held.classes}
    known = next((_LIBRARIES[name] for name in _LIBRARIES if name in first), None)
    if known is not None and not options.requirements:
        what, remedy = known
        raise ClocheError(
            "inspection.pytorch.library", f"This is {what}.", where=where, hint=remedy
        )


def loading(held: Contents, path: str, options: ModelOptions, where: str) -> Loading:
    """Return how a file is loaded.

    Raises UsageError `inspection.pytorch.class` for weights without the class of their module, and
    ClocheError for a file of a library, for classes of a script, and `conversion.content` for what
    is neither a module nor weights.
    """
    more: dict[str, object] = {}
    _library(held, options, where)
    if held.other is not None:
        raise _no_model(held, held.other, where)
    if held.main:
        raise ClocheError(
            "inspection.pytorch.main",
            f"The classes {', '.join(held.main)} were defined in a script or a notebook (__main__),"
            " and nothing else can import them.",
            where=where,
            hint="Move them into a module that is logged with the model (code_paths in MLflow), or"
            " save the model without code: torch.export.save.",
        )
    if held.kind in {Kind.STATE_DICT, Kind.SAFETENSORS}:
        if options.class_name is None:
            raise UsageError(
                "inspection.pytorch.class",
                "The file holds weights alone, and nothing says which module they are of.",
                where=where,
                hint="Write `class: torchvision.models.resnet50` (the class or function that makes"
                " the module, with its `arguments:`) in cloche.yaml. Or export the model:"
                " torch.export.save(torch.export.export(model, (example,)), FILE). Weights of"
                " transformers or timm are served from their folder, with config.json.",
            )
        more = {"class": options.class_name, "arguments": options.arguments}
    return Loading("pytorch", held.kind.value, path, more)


def _no_model(held: Contents, other: str, where: str) -> ClocheError:
    """Return the error for a file that is known to hold no model, before anything is installed."""
    if held.kind is Kind.STATE_DICT:
        return ClocheError(
            "conversion.content",
            f"The file holds no weights of a module, but {other}.",
            where=where,
            hint="Save the weights: torch.save(model.state_dict(), FILE).",
        )
    names = [name for name in held.classes if name not in _OF_EVERY_MODULE]
    shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    loading_it = f" Loading it would import {shown}." if names else ""
    return ClocheError(
        "conversion.content",
        f"The file holds {other}, not a module.{loading_it}",
        where=where,
        hint="Save what is served alone: the whole module (torch.save(model, FILE)), or its weights"
        " (torch.save(model.state_dict(), FILE)) with their `class:` in cloche.yaml.",
    )


def inspect_file(snapshot: ModelSnapshot, path: Path, options: ModelOptions) -> ModelFacts:
    """Return the facts of a file; raises UsageError as `loading`."""
    held = contents(path)
    if held is None:
        raise ClocheError(
            "inspection.pytorch.damaged",
            "The file is not whole: PyTorch wrote it, and its archive cannot be read.",
            where=snapshot.pinned,
            hint="Save or download it again.",
        )
    requirements, findings = _requirements(held, options)
    environment = unloaded.Environment(options.python or unloaded.PYTHON, requirements, findings)
    loaded = loading(held, snapshot.entry, options, snapshot.pinned)
    return unloaded.facts(snapshot, f"pytorch, {_KINDS[held.kind]}", loaded, environment)


def _requirements(
    held: Contents, options: ModelOptions
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return what the model needs: as the spec says, as the file records, else what was tried."""
    if options.requirements:
        return options.requirements, ()
    needed = {"torch", *([held.kind.value] if held.kind is Kind.SAFETENSORS else [])} | {
        _PACKAGES[first]
        for name in (*held.classes, options.class_name or "")
        if (first := name.partition(".")[0]) in _PACKAGES
    }
    versions = {**TESTED, **({"torch": held.torch} if held.torch else {})}
    lines = tuple(
        f"{name}=={versions[name]}" if name in versions and _fits(name, held) else name
        for name in sorted(needed)
    )
    said = "the file records PyTorch's release" if held.torch else "the newest that were tested"
    return lines, (unloaded.assumed(lines, said),)


def _fits(name: str, held: Contents) -> bool:
    """Return whether the tested release of a package goes with the recorded one of PyTorch."""
    return name == "torch" or held.torch in {None, TESTED["torch"]}
