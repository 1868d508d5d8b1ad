"""One model of each variant of each format, deployed on real Triton and verified there.

`make formats` runs it; it writes src/cloche/formats/measured.json, from which `cloche inspect
--formats` and docs/formats.md are made. With names of variants it measures those alone.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloche import artifacts, composition, pipeline, spec
from cloche.artifacts import Deployment
from cloche.formats import measured
from cloche.formats.measured import Measured
from cloche.progress import SilentProgress
from cloche.servers.triton import TritonServer
from fixtures.command_line import User, a_user
from fixtures.saved_models import REQUIREMENTS, Saved, give_locks, saved

_LIMIT = 900.0
_ONNX = """
backend: "onnxruntime"
max_batch_size: 8
input [{ name: "X" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "probabilities" data_type: TYPE_FP32 dims: [3] }]
"""
_LIBTORCH = """
platform: "pytorch_libtorch"
max_batch_size: 8
input [{ name: "image__0" data_type: TYPE_FP32 dims: [3, 24, 24] }]
output [{ name: "output__0" data_type: TYPE_FP32 dims: [5] }]
"""


@dataclass(frozen=True)
class Case:
    """A saved model; those of MLflow and Triton name their own requirements."""

    framework: str
    model: str
    more: dict[str, Any] = field(default_factory=dict)
    bare: bool = True
    """Whether the environment that saved it has to be named."""
    config: str | None = None
    """The config.pbtxt of a repository that is made of it."""


def _logged(framework: str, model: str) -> Case:
    return Case(framework, model, bare=False)


_SQUEEZED = {"class": "torchvision.models.squeezenet1_1", "arguments": {"num_classes": 7}}
CASES = {
    "mlflow-pytorch-program": _logged("pytorch", "logged"),
    "mlflow-pytorch-module": _logged("pytorch", "pickled"),
    "mlflow-tensorflow": _logged("tensorflow", "logged"),
    "mlflow-sklearn": _logged("sklearn", "people"),
    "mlflow-xgboost": _logged("sklearn", "booster"),
    "mlflow-lightgbm": _logged("sklearn", "light"),
    "mlflow-transformers": _logged("transformers", "network"),
    "mlflow-pipeline": _logged("transformers", "pipeline"),
    "mlflow-sentence-transformers": _logged("transformers", "encoded"),
    "mlflow-onnx": _logged("sklearn", "exported"),
    "mlflow-pyfunc": _logged("sklearn", "function"),
    "triton": Case("sklearn", "iris.onnx", bare=False, config=_ONNX),
    "triton-libtorch": Case("pytorch", "traced.pth", bare=False, config=_LIBTORCH),
    "pytorch-program": Case("pytorch", "reader.pt2"),
    "pytorch-script": Case("pytorch", "traced.pth"),
    "pytorch-module": Case("pytorch", "training.pt"),
    "pytorch-weights": Case("pytorch", "squeezed.pth", _SQUEEZED),
    "pytorch-timm": Case("pytorch", "timm"),
    "xgboost": Case("sklearn", "early.ubj"),
    "lightgbm": Case("sklearn", "light.txt"),
    "sklearn-pickle": Case("sklearn", "forest.joblib"),
    "sklearn-skops": Case("sklearn", "forest.skops"),
    "transformers": Case("transformers", "classifier"),
    "sentence-transformers": Case("transformers", "sentences"),
    "tensorflow": Case("tensorflow", "exported"),
    "keras": Case("tensorflow", "network.keras"),
    "keras-hdf5": Case("tensorflow", "old.h5"),
    "jax": Case("jax", "plain.bin"),
    "onnx": Case("sklearn", "iris.onnx", bare=False),
}
"""What is deployed for each variant."""


def main(wanted: list[str]) -> int:
    """Measure the wanted variants, all without any; return 1 if one of them was not served."""
    known = [variant.name for form in composition.formats().values() for variant in form.variants]
    results = artifacts.to_builtins(measured.read()) if measured.FILE.exists() else {}
    failed = 0
    with a_user() as user:
        give_locks(user.home)
        for name in wanted or known:
            print(f"{name} … ", end="", file=sys.stderr, flush=True)
            try:
                found = _measure(user, name, CASES[name])
            except AssertionError as error:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
                continue
            results[name] = artifacts.to_builtins(found)
            print(found.converter or found.backend, found.parity or "", file=sys.stderr)
    ordered = {name: results[name] for name in known if name in results}
    measured.FILE.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    return int(failed > 0)


def _measure(user: User, name: str, case: Case) -> Measured:
    """Deploy a model as a user does, and return what its deployment and verification tell."""
    content = {"name": name, **_content(user, name, case)}
    path = user.folder / f"{name}.yaml"
    path.write_text(json.dumps(content))
    answer = user.run("deploy", "-f", path, "--json", limit=_LIMIT).expect(0).json
    verified = answer["verification"]
    assert verified["passed"], verified
    deployment = pipeline.prepare(  # remembered: the deploy has just made it
        spec.load(path), directory=user.folder, settings=user.settings, progress=SilentProgress()
    )
    user.run("delete", name, "--yes").expect(0)
    return _described(case, deployment, verified["judge"])


def _content(user: User, name: str, case: Case) -> dict[str, Any]:
    models = saved(case.framework)
    if case.config is not None:
        return {"model": str(_repository(user, name, case, models))}
    if case.bare:
        return models.spec(case.model, **case.more)
    return {"model": str(models.folder / case.model)}


def _repository(user: User, name: str, case: Case, models: Saved) -> Path:
    folder = user.folder / "repositories" / name / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(case.config or "")
    suffix = ".onnx" if case.model.endswith(".onnx") else ".pt"
    shutil.copyfile(models.folder / case.model, folder / "1" / f"model{suffix}")
    return folder.parent


def _described(case: Case, deployment: Deployment, judge: str) -> Measured:
    member = deployment.main
    conversion = member.conversion
    said = {each.code: each.what.rstrip(".") for each in member.facts.findings}
    why = said.get("conversion.none", "").partition(": ")[2]
    framework = member.facts.framework
    return Measured(
        model=case.model,
        framework=framework if any(map(str.isdigit, framework)) else _release(case, framework),
        backend=deployment.repository.main.backend,
        judge=judge,
        converter=_without_build(conversion.converter) if conversion is not None else None,
        why=why or said.get("inspection.mlflow.pipeline"),
        parity=measured.closeness(conversion) if conversion is not None else None,
    )


def _without_build(converter: str) -> str:
    """Return a converter without the build of its release (`+cpu`), which depends on the index."""
    return re.sub(r"\+\w+", "", converter)


def _release(case: Case, framework: str) -> str:
    """Return a framework with the release that saved the model; a Python function is MLflow's."""
    if case.config is not None:
        return f"triton {TritonServer.release}"
    package = {"sklearn": "scikit-learn", "python": "mlflow"}.get(framework, framework)
    package = package.replace("_", "-")
    releases = dict(line.split("==") for line in REQUIREMENTS[case.framework])
    return f"{package} {releases[package]}" if package in releases else framework


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
