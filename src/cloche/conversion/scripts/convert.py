"""Convert a model to ONNX in its own environment: `convert.py FOLDER MODEL`.

`FOLDER/job.json` has

    framework  what loads it; `FRAMEWORK_conversion.py` converts it
    how        how the model is loaded (`own_model.py`)
    inputs     what a signature tells of its inputs: name, datatype, shape each; null without one
    example    [file, header length] of a request, or null
    convert    false if only the interface is wanted

`FOLDER/outcome.json` then has `framework`, `inputs` and `outputs`, `notes`, and `converted` with
the `converter`, the `parity` of each output and the number of `requests`, or `why` not; the model
is `FOLDER/converted/model.onnx`. Or it has `error`: its `code`, `what` and `hint`. Syntax for
Python 3.8.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import own_model

if TYPE_CHECKING:
    from converting import Converting
    from interface import Interface

_LARGEST_FILE = 1_500_000_000
"""Bytes of weights in the file itself; protobuf allows two gigabytes."""


_LONGEST = 300
"""Letters of a reason."""


def main(folder: Path, path: str) -> dict[str, Any]:
    """Do the job in a folder and return its outcome."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    example = None
    if job["example"] is not None:
        name, length = job["example"]
        example = exchange.decode((folder / name).read_bytes(), length, "inputs")
    model = own_model.load(job["framework"], path, job["how"])
    converter = importlib.import_module(f"{job['framework']}_conversion")
    converting: Converting = converter.Conversion(model, example)
    found = converting.interface(job["inputs"])
    outcome: dict[str, Any] = {
        "inputs": [tensor.described() for tensor in found.inputs],
        "outputs": [tensor.described() for tensor in found.outputs],
        "notes": model.notes,
        "framework": converting.framework(),
    }
    if job["convert"]:
        outcome.update(_converted(folder, converting, found))
    return outcome


def _converted(folder: Path, converting: Converting, found: Interface) -> dict[str, Any]:
    """Return the first export that ONNX Runtime loads and that answers as the model does."""
    import onnx_parity  # a framework without a converter needs no ONNX

    target = folder / "converted" / "model.onnx"
    target.parent.mkdir(exist_ok=True)
    cases = list(converting.cases(found))
    datatypes = {tensor.name: tensor.datatype for tensor in found.outputs}
    reasons = []
    for exported in converting.exports(found):
        if isinstance(exported, str):
            reasons.append(exported)
            continue
        try:
            _save(exported.model, target)
            converted = onnx_parity.OnnxModel(str(target))
            parity = onnx_parity.measure(converting.model.call, converted.call, cases, datatypes)
        except Exception as error:  # noqa: BLE001 - the next exporter may do better
            said = " ".join(str(error).replace(f"{target.parent}/", "").split())
            reasons.append(f"{exported.converter}: {said[:_LONGEST]}")
            continue
        opset = next(each.version for each in exported.model.opset_import if not each.domain)
        made = f"{exported.converter}, opset {opset}"
        return {"converted": {"converter": made, "parity": parity, "requests": len(cases)}}
    return {"why": "; ".join(reasons)}


def _save(model: Any, target: Path) -> None:
    import onnx

    for old in target.parent.iterdir():
        old.unlink()
    onnx.save_model(
        model,
        str(target),
        save_as_external_data=model.ByteSize() > _LARGEST_FILE,
        location="model.onnx.data",
    )


def run(folder: Path, path: str) -> None:
    """Write the outcome of the job, or the error that tells what is wrong with the model."""
    try:
        outcome = main(folder, path)
    except own_model.Unusable as error:
        outcome = {"error": {"code": error.code, "what": error.what, "hint": error.hint}}
    temporary = folder / "outcome.new"
    temporary.write_text(json.dumps(outcome), encoding="utf-8")
    temporary.replace(folder / "outcome.json")


if __name__ == "__main__":
    exchange.end_with_parent()
    run(Path(sys.argv[1]), sys.argv[2])
