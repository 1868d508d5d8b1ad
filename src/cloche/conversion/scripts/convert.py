"""Convert a model to ONNX in its own environment: `convert.py FOLDER MODEL`.

`FOLDER/job.json` has

    framework  what loads it; `FRAMEWORK_conversion.py` converts it
    how        how the model is loaded (`own_model.py`)
    inputs     what a signature or the user tells of its inputs: name, datatype, shape and labels
               (the names of open axes) each; null without both
    declared   whether it is the user who tells
    example    [file, header length] of a request, or null
    convert    false if only the interface is wanted
    tolerance  how far a float may be off, as a fraction of its output's scale; null for the default

`FOLDER/outcome.json` then has `framework`, `inputs` and `outputs`, `notes`, `sample` (a file and
its header length: a request that was answered), and `converted` or `why` not. The former has the
`converter`, the `parity` of each output and the number of `requests`; the model is
`FOLDER/converted/model.onnx`. Or it has `error`: its `code`, `what` and `hint`. Syntax for Python
3.8.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import declaring
import exchange  # type: ignore[import-not-found]
import interface
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
    found = _interface(converting, job)
    outcome: dict[str, Any] = {
        "inputs": [tensor.described() for tensor in found.inputs],
        "outputs": [tensor.described() for tensor in found.outputs],
        "notes": model.notes,
        "framework": converting.framework(),
        "sample": _put_sample(folder, found.sample),
    }
    if job["convert"]:
        outcome.update(_converted(folder, converting, found, job["tolerance"]))
        outcome["notes"] = outcome["notes"] + outcome.get("converted", {}).pop("notes", [])
    return outcome


def _interface(converting: Converting, job: dict[str, Any]) -> Interface:
    """Return the interface of a model, which is the declared one where the user tells it."""
    if not job["declared"]:
        return converting.interface(job["inputs"])
    try:
        found = converting.interface(None if converting.tells() else job["inputs"])
    except own_model.Unusable as error:
        if error.code == "conversion.inputs":
            error.hint = "Correct `inputs:` in cloche.yaml, whose shapes these are."
        raise
    declaring.require(found, interface.told_tensors(job["inputs"]))
    return found


def _put_sample(folder: Path, sample: dict[str, Any]) -> list[Any]:
    body, header_length = exchange.encode(sample, "inputs")
    (folder / "sample").write_bytes(body)
    return ["sample", header_length]


def _converted(
    folder: Path, converting: Converting, found: Interface, tolerance: float | None
) -> dict[str, Any]:
    """Return the export that ONNX Runtime loads and that answers as the model does.

    Of several the one with the fewest ties is kept, and the first without any.
    """
    target = folder / "converted" / "model.onnx"
    cases = list(converting.cases(found))
    reasons: list[str] = []
    kept: dict[str, Any] = {}
    for exported in converting.exports(found):
        if isinstance(exported, str):
            reasons.append(exported)
            continue
        trial = folder / "trial" / target.name
        try:
            _save(exported.model, trial)
            parity, notes = _parity(converting, found, str(trial), cases, tolerance)
        except Exception as error:  # noqa: BLE001 - the next exporter may do better
            said = " ".join(str(error).split()).replace(f"Load model from {trial} failed:", "")
            said = said.replace(f"{trial.parent}/", "")
            reasons.append(f"{exported.converter}: {said[:_LONGEST]}")
            continue
        if kept and _ties(parity) >= _ties(kept["parity"]):
            continue
        shutil.rmtree(target.parent, ignore_errors=True)
        trial.parent.rename(target.parent)
        opset = next(each.version for each in exported.model.opset_import if not each.domain)
        made = f"{exported.converter}, opset {opset}"
        kept = {"converter": made, "parity": parity, "requests": len(cases), "notes": notes}
        if not _ties(parity):
            break
    return {"converted": kept} if kept else {"why": "; ".join(dict.fromkeys(reasons))}


def _parity(
    converting: Converting,
    found: Interface,
    path: str,
    cases: list[Any],
    tolerance: float | None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the numbers of each output, and what is noted about extreme values."""
    import onnx_parity  # a framework without a converter needs no ONNX

    outputs = {
        tensor.name: onnx_parity.Output(
            tensor.datatype,
            onnx_parity.fraction(converting.judged(tensor), tolerance),
            scores=converting.is_scores(tensor),
        )
        for tensor in found.outputs
    }
    original, converted = converting.model.call, onnx_parity.OnnxModel(path).call
    parity = onnx_parity.measure(original, converted, cases, outputs, converting.explained)
    return parity, onnx_parity.report(original, converted, converting.extremes(found), outputs)


def _ties(parity: list[dict[str, Any]]) -> int:
    return max((each["ties"] for each in parity), default=0)


def _save(model: Any, target: Path) -> None:
    import onnx

    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir()
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
