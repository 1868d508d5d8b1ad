"""Convert a PyTorch model to ONNX in its own environment: `convert_torch.py FOLDER MODEL`.

`FOLDER/job.json` has

    how       how the model is loaded (`torch_model.py`)
    inputs    what a signature tells of its inputs: name, datatype, shape each; null without one
    example   [file, header length] of a request, or null
    convert   false if only the interface is wanted

`FOLDER/outcome.json` then has `inputs` and `outputs`, `notes`, and `converted` with the `converter`
and the `parity` of each output, or `why` not; the model is `FOLDER/converted/model.onnx`. Or it has
`error`: its `code`, `what` and `hint`. Syntax for Python 3.8.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import onnx
import onnx_parity  # type: ignore[import-not-found]
import torch
import torch_export
import torch_interface
import torch_model

if TYPE_CHECKING:
    from torch_interface import Interface, Tensor
    from torch_model import TorchModel

_LARGEST_FILE = 1_500_000_000
"""Bytes of weights in the file itself; protobuf allows two gigabytes."""
_BATCHES = (1, 2, 5)
_OTHERS = 2
"""Requests with other values than the sample's."""


def main(folder: Path, path: str) -> dict[str, Any]:
    """Do the job in a folder and return its outcome."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    example = None
    if job["example"] is not None:
        name, length = job["example"]
        example = exchange.decode((folder / name).read_bytes(), length, "inputs")
    torch.manual_seed(0)
    model = torch_model.load(path, job["how"])
    if example is not None and not job["inputs"] and len(example) == len(model.parameters):
        # An array without a name is the input in its place.
        example = dict(zip(model.parameters, example.values()))  # noqa: B905
    interface = torch_interface.discover(model, job["inputs"], example)
    outcome: dict[str, Any] = {
        "inputs": [tensor.described() for tensor in interface.inputs],
        "outputs": [tensor.described() for tensor in interface.outputs],
        "notes": model.notes,
        "framework": "pytorch {}".format(torch.__version__.partition("+")[0]),
    }
    if job["convert"]:
        outcome.update(_converted(folder, model, interface, example))
    return outcome


def _converted(folder: Path, model: TorchModel, interface: Interface, example: Any) -> Any:
    """Return the first export that ONNX Runtime loads and that answers as the model does."""
    target = folder / "converted" / "model.onnx"
    target.parent.mkdir(exist_ok=True)
    cases = list(_cases(model, interface, example))
    datatypes = {tensor.name: tensor.datatype for tensor in interface.outputs}
    reasons = []
    for exported in torch_export.exports(model, interface):
        if isinstance(exported, str):
            reasons.append(exported)
            continue
        try:
            _save(exported.model, target)
            onnx_model = onnx_parity.OnnxModel(str(target))
            parity = onnx_parity.measure(model.call, onnx_model.call, cases, datatypes)
        except Exception as error:  # noqa: BLE001 - the next exporter may do better
            reasons.append("{}: {}".format(exported.converter, " ".join(str(error).split())[:500]))
            continue
        opset = next(each.version for each in exported.model.opset_import if not each.domain)
        converter = f"{exported.converter}, opset {opset}"
        return {"converted": {"converter": converter, "parity": parity, "requests": len(cases)}}
    return {"why": "; ".join(reasons)}


def _save(model: Any, target: Path) -> None:
    for old in target.parent.iterdir():
        old.unlink()
    onnx.save_model(
        model,
        str(target),
        save_as_external_data=model.ByteSize() > _LARGEST_FILE,
        location="model.onnx.data",
    )


def _cases(model: TorchModel, interface: Interface, example: Any) -> Any:
    """Yield requests, each with what it tries in words."""
    values = torch_interface.Values(model, example)
    yield "the sample", interface.sample
    if example is not None:
        yield "the example", example
    for seed in range(2, 2 + _OTHERS):
        yield "other values", _resized(interface, values, {}, seed)
    for seed, rows in enumerate(_batches(interface), 2 + _OTHERS):
        yield f"a batch of {rows}", _resized(interface, values, {0: rows}, seed)
    places = {axis for axes in interface.axes().values() for axis in axes} - {0}
    for place in sorted(places):
        for seed, factor in enumerate((1, 3), 9):
            size = factor * max(next(_sizes_at(interface, place)), 2)
            words = f"{size} along axis {place}"
            yield words, _resized(interface, values, {place: size}, seed)


def _batches(interface: Interface) -> tuple[int, ...]:
    return _BATCHES if all(0 in axes for axes in interface.axes().values()) else ()


def _sizes_at(interface: Interface, place: int) -> Any:
    return (array.shape[place] for array in interface.sample.values() if array.ndim > place)


def _resized(interface: Interface, values: Any, sizes: dict[int, int], seed: int) -> Any:
    def of(tensor: Tensor) -> Any:
        shape = dict(enumerate(interface.sample[tensor.name].shape))
        return values.of(tensor, {**shape, **sizes}, seed=seed)

    return {tensor.name: of(tensor) for tensor in interface.inputs}


def run(folder: Path, path: str) -> None:
    """Write the outcome of the job, or the error that tells what is wrong with the model."""
    try:
        outcome = main(folder, path)
    except torch_model.Unusable as error:
        outcome = {"error": {"code": error.code, "what": error.what, "hint": error.hint}}
    temporary = folder / "outcome.new"
    temporary.write_text(json.dumps(outcome), encoding="utf-8")
    temporary.replace(folder / "outcome.json")


if __name__ == "__main__":
    exchange.end_with_parent()
    run(Path(sys.argv[1]), sys.argv[2])
