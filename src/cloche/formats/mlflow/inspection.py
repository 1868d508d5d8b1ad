"""The facts of a folder saved by MLflow.

A model with the ONNX flavor is served from its ONNX file. The file's protobuf is authoritative; the
signature is compared with it. Any other model with the Python function flavor is served by Triton's
Python backend in its own environment. Its inputs are those of its signature: one tensor per column
of a table, or its named tensors. Without a signature the input example gives the inputs. Without
outputs, one is assumed: `output`, FP64, shape [-1, -1], numbers of any kind, one row per input row,
one column if the model returns one value per row.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Finding,
    ModelFacts,
    ModelFormat,
    Severity,
    Signature,
    TensorSpec,
)
from cloche.environments.interpreters import PYTHONS
from cloche.environments.requirements import name_of
from cloche.errors import ClocheError
from cloche.formats import declared_inputs, unloaded
from cloche.formats.mlflow import (
    columns,
    conversations,
    estimators,
    example,
    logged,
    pytorch,
    tensorflow,
    transformers,
)
from cloche.formats.mlflow import declared as environment
from cloche.formats.unloaded import Environment
from cloche.model_config.names import onnx_file_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cloche.artifacts import ModelOptions, ModelSnapshot

_SIGN = "Log the model again with signature=mlflow.models.infer_signature(inputs, outputs)."


def inspect_folder(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> ModelFacts:
    """Return the facts of an MLflow folder.

    Raises ClocheError for a model without a Python function or ONNX flavor, without a signature
    and example, or saved with a Python that Triton cannot run.
    """
    flavors = snapshot.metadata.flavors
    if "onnx" in flavors:
        return _onnx(snapshot, root, options)
    loaded = pytorch.loading(snapshot, root, options)
    if loaded is not None:
        told, declared = _told(snapshot, root), _environment(snapshot, root)
        return logged.facts(snapshot, pytorch.FLAVOR, loaded, told, declared)
    network = transformers.folder_of(snapshot)
    if network is not None:
        return transformers.facts(snapshot, root, network, options, _environment(snapshot, root))
    found = tensorflow.loading(snapshot, root, options)
    if found is not None:
        declared = _environment(snapshot, root)
        if tensorflow.has_tensorflow(declared.requirements):
            return tensorflow.facts(snapshot, found, _told(snapshot, root), declared)
    if "python_function" not in flavors:
        raise ClocheError(
            "inspection.mlflow.flavor",
            f"The model has the flavors {', '.join(flavors) or 'none'}; none can be served.",
            where=snapshot.pinned,
            hint="Log it with a flavor that has a Python function, or as ONNX (mlflow.onnx).",
        )
    if _told(snapshot, root) is None and not options.inputs:
        alone = estimators.without_signature(snapshot, root, options)
        if alone is not None:
            declared = _environment(snapshot, root)
            return logged.facts(snapshot, alone.framework, alone, None, declared)
    known = estimators.convertible(_python(snapshot, root, options), snapshot, options)
    return _of_function(known, flavors)


def _of_function(known: ModelFacts, flavors: Collection[str]) -> ModelFacts:
    """Return the facts with the reason why a network stays with the Python function."""
    if not {pytorch.FLAVOR, *tensorflow.FLAVORS} & set(flavors):
        return known
    why = "its folder has no single model with a signature of its own"
    hint = "Save it with one: model.export(FOLDER), or tf.saved_model.save(…, signatures=…)."
    if known.columns:
        why = "its signature is a table, of whose columns MLflow makes one matrix"
        hint = "Log it with a signature of tensors, such as infer_signature(array, answer)."
    return unloaded.unconverted(known, why, hint)


def _onnx(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> ModelFacts:
    from cloche.formats.onnx.inspection import inspect_file

    paths = [entry.path for entry in snapshot.files]
    chosen = onnx_file_of(paths)
    if chosen is None:
        count = sum(path.endswith(".onnx") for path in paths)
        raise ClocheError(
            "inspection.mlflow.onnx",
            f"The folder has the ONNX flavor but {count or 'no'} .onnx files.",
            where=snapshot.pinned,
            hint="Log the model again with mlflow.onnx.log_model.",
        )
    asked = declared_inputs.specs(options)
    facts = inspect_file(root / chosen, f"{snapshot.pinned}/{chosen}", asked)
    compared = _differences(snapshot.metadata.signature, facts)
    return replace(facts, format=ModelFormat.MLFLOW, findings=(*facts.findings, *compared))


def _differences(signature: Signature | None, facts: ModelFacts) -> list[Finding]:
    """Return findings where the signature differs from the ONNX file, which is what runs."""
    if signature is None or signature.columns:
        return []
    findings = []
    pairs = (
        ("input", signature.inputs, facts.inputs),
        ("output", signature.outputs, facts.outputs),
    )
    for direction, declared, real in pairs:
        by_name = {spec.name: spec for spec in real}
        for index, spec in enumerate(declared):
            named = spec.name not in signature.unnamed
            actual = by_name.get(spec.name) if named else next(iter(real[index : index + 1]), None)
            if actual is None:
                what = f"The signature has an {direction} {spec.name} that the ONNX file lacks"
            elif actual.datatype != spec.datatype:
                types = f"{spec.datatype} in the signature and {actual.datatype} in the ONNX file"
                what = f"The {direction} {actual.name} is {types}"
            elif len(actual.shape) != len(spec.shape):
                shapes = f"{list(spec.shape)} in the signature and {list(actual.shape)} in the file"
                what = f"The {direction} {actual.name} is {shapes}"
            else:
                continue
            hint = "The ONNX file is used. " + _SIGN
            findings.append(
                Finding(Severity.WARNING, "inspection.mlflow.signature", f"{what}.", hint=hint)
            )
    return findings


def _environment(snapshot: ModelSnapshot, root: Path) -> Environment:
    """Return the Python and the requirements that a folder declares."""
    metadata = snapshot.metadata
    python, noted = _interpreter(metadata.python, snapshot.pinned)
    folder = root / PurePosixPath(snapshot.entry).parent
    recorded, told = environment.requirements(folder, metadata.requirements, python)
    return Environment(python, recorded, tuple(noted + told))


def _told(snapshot: ModelSnapshot, root: Path) -> Signature | None:
    """Return what a signature, else the example tells of the tensors; None without both."""
    signature = snapshot.metadata.signature
    if signature is not None and signature.inputs:
        return signature
    return _derived(snapshot, root)


def _python(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> ModelFacts:
    metadata = snapshot.metadata
    signature, findings = _signature(snapshot, root, options)
    declared = _environment(snapshot, root)
    findings += (*declared.findings, *transformers.of_text(snapshot))
    one = conversations.answers_one(metadata)
    if one:
        signature = conversations.of_one(signature)
    outputs = columns.with_marks(signature.outputs, columns=True)
    inputs = columns.with_marks(signature.inputs, columns=signature.columns)
    if signature.columns:
        inputs = columns.with_lengths(inputs, text=True)
    if signature.lists:
        outputs = columns.with_lengths(outputs, text=False)
    if not outputs:
        outputs = (TensorSpec("output", "FP64", (-1, -1)),)
        what = "The signature has no outputs: a run of the model has to tell them."
        findings.append(Finding(Severity.NOTE, "inspection.mlflow.outputs", what, hint=_SIGN))
    findings += _parameters(metadata.tags.get("signature.params"))
    flavors = [name for name in metadata.flavors if name != "python_function"]
    return ModelFacts(
        format=ModelFormat.MLFLOW,
        framework=flavors[0] if flavors else "python",
        backend="python",
        inputs=inputs,
        outputs=outputs,
        inputs_declared=_told(snapshot, root) is None,
        outputs_assumed=not signature.outputs,
        batch=conversations.BATCH if one else _batch(signature, outputs),
        size_bytes=snapshot.size,
        memory_bytes=None,
        python=declared.python,
        requirements=_requirements(declared.requirements, metadata.tags.get("mlflow_version")),
        columns=signature.columns,
        samples=signature.samples,
        findings=tuple(findings),
    )


def _parameters(written: str | None) -> list[Finding]:
    """Return the note about the inference parameters that a request may set."""
    if written is None:
        return []
    listed = ", ".join(
        f"{one.get('name')} ({one.get('type')}, default {one.get('default')!r})"
        for one in json.loads(written)
        if isinstance(one, dict)
    )
    what = f"Requests may set the model's inference parameters: {listed}."
    return [Finding(Severity.NOTE, "inspection.mlflow.params", what)]


def _signature(
    snapshot: ModelSnapshot, root: Path, options: ModelOptions
) -> tuple[Signature, list[Finding]]:
    signature = snapshot.metadata.signature
    if signature is not None and signature.inputs:
        return signature, []
    derived = _derived(snapshot, root)
    if derived is None and options.inputs:
        return Signature(declared_inputs.specs(options)), []
    if derived is None:
        raise ClocheError(
            "inspection.mlflow.signature",
            "The model has no signature, so its inputs are unknown.",
            where=snapshot.pinned,
            hint=_SIGN + " An input_example alone is enough, too. Or write them in cloche.yaml: "
            "`inputs: {input: {shape: [batch, 4], datatype: FP64}}` for a model that takes one "
            "array, else each by its name.",
        )
    what = "The model has no signature; its inputs are those of its input example."
    path = snapshot.metadata.input_example
    return derived, [
        Finding(Severity.WARNING, "inspection.mlflow.example", what, where=path, hint=_SIGN)
    ]


def _derived(snapshot: ModelSnapshot, root: Path) -> Signature | None:
    """Return the signature that the stored example implies; None without one."""
    path = snapshot.metadata.input_example
    if path is None:
        return None
    try:
        return example.derive(json.loads((root / path).read_text(encoding="utf-8")))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _interpreter(recorded: str | None, where: str) -> tuple[str, list[Finding]]:
    if recorded is None:
        what = "The model does not say which Python it was saved with; 3.11 is assumed."
        return "3.11", [Finding(Severity.WARNING, "inspection.mlflow.python", what)]
    minor = ".".join(recorded.split(".")[:2])
    if minor not in PYTHONS:
        raise ClocheError(
            "inspection.mlflow.python",
            f"The model was saved with Python {recorded}, which Triton cannot run.",
            where=where,
            hint=f"Log the model from one of Python {', '.join(PYTHONS)}.",
        )
    return minor, []


def _requirements(recorded: tuple[str, ...], mlflow_version: str | None) -> tuple[str, ...]:
    """Return the recorded requirements, plus those of serving that they lack."""
    names = {name_of(line) for line in recorded}
    added = []
    if not names & {"mlflow", "mlflow-skinny"}:
        added.append(f"mlflow=={mlflow_version}" if mlflow_version else "mlflow")
    added += [name for name in ("numpy", "pandas") if name not in names]
    if "setuptools" not in names and (mlflow_version or "3").startswith(("0.", "1.", "2.")):
        # Older MLflow imports pkg_resources and expects the virtualenv to have it.
        added.append("setuptools<81")
    return (*recorded, *added)


def _batch(signature: Signature, outputs: tuple[TensorSpec, ...]) -> BatchAxis:
    if signature.columns:
        why = "the inputs are columns of a table, and its rows are items"
        return BatchAxis(present=True, certainty=Certainty.CERTAIN, why=why)
    for spec in (*signature.inputs, *outputs):
        if not spec.shape or spec.shape[0] != -1:
            why = f"the signature fixes the first axis of {spec.name}: {list(spec.shape)}"
            return BatchAxis(present=False, certainty=Certainty.LIKELY, why=why)
    why = "the signature leaves the first axis of every input and output open"
    return BatchAxis(present=True, certainty=Certainty.LIKELY, why=why)
