"""A PyTorch model, loaded in its own environment and called with named arrays.

`how` says how a file is loaded:

    kind        torchscript (torch.jit.save), exported (torch.export.save), module (torch.save of a
                whole module), state_dict (torch.save of its weights), safetensors (the same in
                that format), timm (a folder of that library)
    class       for weights alone: the class or function that makes the module, as `package.name`
    arguments   for weights alone: the keyword arguments of that call
    inputs, outputs, batched    for a script in a repository of Triton: `pytorch_names.py`

Syntax for Python 3.8.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_arguments
import pytorch_devices
import pytorch_names
import pytorch_weights
import torch
from own_model import OwnModel, Unusable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pytorch_names import Names

    Array = NDArray[Any]
    Arrays = dict[str, Array]


class TorchModel(OwnModel):
    """A module in evaluation mode on the CPU, called with arrays by the names of its inputs."""

    def __init__(self, module: Any, *, program: Any = None, names: Names | None = None) -> None:
        """Take a module, the exported program that it comes from, and names of its tensors."""
        super().__init__()
        self._names = names
        self.module, self.program = module, program
        self._arguments = pytorch_arguments.of(module, program)
        self.parameters = self._arguments.names
        """The names of the inputs that a call needs, in order."""
        self.scalars = self._arguments.scalars
        """The type of each of them that is a number or text of Python, no tensor."""
        if getattr(module, "training", False) and program is None:
            self.notes.append("It was saved in training mode; it is served in evaluation mode.")
            module.eval()
        if program is None and any(each.dtype == torch.bfloat16 for each in module.parameters()):
            self.notes.append("Its BF16 weights are computed in FP32: clients have no BF16.")
            module.float()

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name; raises whatever the module raises."""
        if self._names is not None:
            arrays = self._names.in_order(arrays, self.parameters)
        with torch.no_grad():
            if self.by_name(arrays):
                answer = self.module(**{name: as_tensor(array) for name, array in arrays.items()})
            else:
                values = [as_tensor(array) for array in arrays.values()]
                places, names = self._arguments.given(values)
                answer = self.module(*places, **names)
        outputs = flattened(answer)
        return outputs if self._names is None else self._names.named(outputs)

    def by_name(self, names: Any) -> bool:
        """Return whether inputs go by name: the parameters are called so, and it may be called so.

        Programs and scripts have a fixed order.
        """
        known = self.program is None and not isinstance(self.module, torch.jit.ScriptModule)
        return known and all(name in self.parameters for name in names)


def load(path: str, how: dict[str, Any]) -> TorchModel:
    """Return the model in a file; raises Unusable."""
    kind = how["kind"]
    try:
        if kind == "torchscript":
            return _script(path, how)
        if kind == "exported":
            return _exported(path)
        if kind == "module":
            return TorchModel(_whole(path))
        if kind == "timm":
            return _of_timm(path)
        module, notes = pytorch_weights.module(path, how)
        model = TorchModel(module.eval())
        model.notes += notes
        return model
    except (ImportError, AttributeError) as error:
        raise _missing_class(error) from error


_MODES = {"aten.batch_norm.default": 5, "aten.dropout.default": 2, "aten.instance_norm.default": 5}
"""The place of the argument that says whether an operator is training, by operator (native
functions of ATen: `training`, `train`, `use_input_stats`)."""


def _script(path: str, how: dict[str, Any]) -> TorchModel:
    with suppress(ImportError):
        import torchvision  # noqa: F401 - it registers its operators
    try:
        module = torch.jit.load(path, map_location="cpu").eval()
    except RuntimeError as error:
        unknown = re.search(r"Unknown builtin op: (\w+)::", str(error))
        if unknown is not None:
            raise Unusable(
                "conversion.operator",
                f"The script calls operators of {unknown[1]}, which PyTorch does not have.",
                "Name the package that has them, too, under `requirements:` in cloche.yaml.",
            ) from error
        raise Unusable("conversion.content", f"It is no TorchScript: {error}") from error
    moved = pytorch_devices.move_constants(module)
    names = pytorch_names.Names(how) if "outputs" in how else None
    model = TorchModel(module, names=names)
    if moved:
        model.notes.append("It was traced on a GPU and names it; it is served on the CPU.")
    return model


def _exported(path: str) -> TorchModel:
    """Return an exported program; one that was exported in training mode is put into evaluation."""
    with pytorch_devices.on_cpu(path) as place:
        program = torch.export.load(place)
    training = 0
    for node in program.graph.nodes:
        place = _MODES.get(str(node.target))
        tracked = place != 5 or len(node.args) < 5 or node.args[3] is not None
        if place is not None and tracked and len(node.args) > place and node.args[place] is True:
            node.update_arg(place, False)
            training += 1
    model = TorchModel(program.module(), program=program)
    if training:
        model.notes.append(
            f"It was exported in training mode ({training} operators); it is served in evaluation"
            " mode."
        )
    return model


def _whole(path: str) -> Any:
    loaded = torch.load(path, map_location="cpu", weights_only=False)
    if isinstance(loaded, torch.nn.DataParallel):
        loaded = loaded.module
    loaded = getattr(loaded, "_orig_mod", loaded)  # torch.compile's wrapper
    if not isinstance(loaded, torch.nn.Module):
        raise Unusable(
            "conversion.content",
            f"The file holds a {type(loaded).__name__}, not a module.",
            "Save the whole module (torch.save(model, FILE)), or export it: torch.export.save.",
        )
    return loaded


def _of_timm(path: str) -> TorchModel:
    import timm

    return TorchModel(timm.create_model(f"local-dir:{path}", pretrained=True).eval())


def _missing_class(error: Exception) -> Unusable:
    return Unusable(
        "conversion.class",
        f"The model's code cannot be imported: {type(error).__name__}: {error}",
        "Put the code of its class where the model is loaded (in MLflow: log it with code_paths),"
        " name its package in the requirements, or save the model without code:"
        " torch.export.save.",
    )


# ── calling ───────────────────────────────────────────────────────────────────────────────────


def as_tensor(array: Array) -> Any:
    """Return an array as a tensor of its own memory; text, which no tensor holds, as it is."""
    return array if array.dtype.kind in "OSU" else torch.from_numpy(np.array(array))


def flattened(answer: Any, prefix: str = "") -> Arrays:
    """Return the tensors of an answer by name: its keys or fields, else `output`, `output_0` …."""
    if isinstance(answer, torch.Tensor):
        detached = answer.detach().cpu()
        if detached.dtype == torch.bfloat16:
            detached = detached.float()
        return {prefix or "output": detached.numpy()}
    found: Arrays = {}
    for name, value in _parts(answer, prefix):
        if value is not None:
            found.update(flattened(value, name))
    return found


def _parts(answer: Any, prefix: str) -> list[tuple[str, Any]]:
    inner = prefix + "_" if prefix else ""
    if isinstance(answer, dict):
        return [(inner + str(key), value) for key, value in answer.items()]
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return [(inner + name, getattr(answer, name)) for name in answer._fields]
    if isinstance(answer, (list, tuple)):
        return [("{}_{}".format(prefix or "output", i), part) for i, part in enumerate(answer)]
    if isinstance(answer, (bool, int, float)):
        return [(prefix or "output", torch.tensor(answer))]
    raise Unusable(
        "conversion.answer",
        f"The model answers with a {type(answer).__name__}, which is no tensor.",
        "Wrap it in a module whose forward returns tensors.",
    )
