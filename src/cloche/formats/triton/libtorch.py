"""Models of Triton's backend for libtorch: TorchScript, with outputs called `NAME__INDEX`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Loading
from cloche.errors import UsageError
from cloche.formats.pytorch import inspection
from cloche.formats.pytorch.archive import Kind, contents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.model_config.finished import FinishedModel

BACKEND = "pytorch"
REQUIREMENTS = (f"torch=={inspection.TESTED['torch']}",)
"""What serves a script that comes without requirements."""
_PLACED = re.compile(r".*__\d+")
_INSTEAD = {
    Kind.EXPORTED: "an exported program",
    Kind.MODULE: "a whole module",
    Kind.STATE_DICT: "weights alone (a state dict)",
}


def errors_of(model: FinishedModel, root: Path) -> Iterator[UsageError]:
    """Yield what keeps Triton from serving a model of this backend; `root` is the repository."""
    if model.backend != BACKEND:
        return
    for output in model.config.output:
        if not _PLACED.fullmatch(output.name):
            place = [each.name for each in model.config.output].index(output.name)
            yield UsageError(
                "repository.libtorch.output",
                f"The output {output.name!r} of {model.name} is not called NAME__INDEX: libtorch's"
                " outputs have no names, and Triton takes them by that index.",
                where=model.where,
                hint=f"Call it {output.name}__{place}.",
            )
    if not (model.config.input and model.config.output):
        yield UsageError(
            "repository.libtorch.tensors",
            f"The configuration of {model.name} lists no inputs or outputs, and TorchScript does"
            " not tell them.",
            where=model.where,
            hint="Write name, data_type and dims of each.",
        )
    path = file_of(model)
    held = contents(root / path)
    if held is None or held.kind is not Kind.TORCHSCRIPT:
        what = "no file of PyTorch" if held is None else _INSTEAD[held.kind]
        yield UsageError(
            "repository.libtorch.file",
            f"{path} is {what}, and this backend runs TorchScript.",
            where=path,
            hint="Save it with torch.jit.trace(model, example).save(FILE); or deploy the file"
            " itself, without a repository.",
        )


def file_of(model: FinishedModel) -> str:
    """Return the path of a model's script in the repository."""
    return f"{model.name}/{model.served_versions[-1]}/{model.filename}"


def loading(model: FinishedModel) -> Loading | None:
    """Return how PyTorch loads a model of this backend; None for one of another."""
    if model.backend != BACKEND:
        return None
    tensors = {
        "inputs": [_described(each) for each in model.config.input],
        "outputs": [_described(each) for each in model.config.output],
        "batched": model.config.max_batch_size > 0,
    }
    return Loading("pytorch", Kind.TORCHSCRIPT.value, file_of(model), tensors, declared=True)


def _described(tensor: Any) -> dict[str, Any]:
    shape = {"shape": list(tensor.reshape.shape)} if tensor.HasField("reshape") else None
    return {"name": tensor.name, "dims": list(tensor.dims), "reshape": shape}
