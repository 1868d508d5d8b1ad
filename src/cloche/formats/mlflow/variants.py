"""The flavors of MLflow, in the table of what is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.variant import (
    CONVERSION,
    EXAMPLE,
    INPUTS,
    LABELS,
    SIGNATURE,
    TRUST,
    From,
    Key,
    Served,
    Variant,
)

if TYPE_CHECKING:
    from collections.abc import Collection

_SOURCES = (From.MLFLOW, From.FOLDER, From.HUB)


def _row(  # noqa: PLR0917 - the fields of a variant, in their order
    name: str, what: str, call: str, served: Served, keys: tuple[Key, ...], by: str | None = None
) -> Variant:
    return Variant(f"mlflow-{name}", what, f"mlflow.{call}", _SOURCES, served, keys, by)


_PYTORCH = "torch.onnx"
_PROGRAM = _row(
    "pytorch-program", "mlflow.pytorch, an exported program (its default)",
    "pytorch.log_model(model, name=NAME, input_example=two_rows)", Served.CONVERTED,
    (LABELS, CONVERSION), _PYTORCH,
)  # fmt: skip
_MODULE = _row(
    "pytorch-module", "mlflow.pytorch, a whole module",
    "pytorch.log_model(model, name=NAME, serialization_format='pickle')", Served.CONVERTED,
    (INPUTS, TRUST, LABELS, CONVERSION), _PYTORCH,
)  # fmt: skip
_TENSORFLOW = _row(
    "tensorflow", "mlflow.tensorflow, mlflow.keras",
    "tensorflow.log_model(model, name=NAME, signature=…)", Served.CONVERTED,
    (SIGNATURE, TRUST, LABELS, CONVERSION), "tf2onnx",
)  # fmt: skip
_NETWORK = _row(
    "transformers", "mlflow.transformers with a signature of tensors",
    "transformers.log_model(parts, name=NAME, signature=…)", Served.CONVERTED,
    (LABELS, CONVERSION), "torch.onnx, transformers' own exporter",
)  # fmt: skip
_PIPELINE = _row(
    "pipeline", "mlflow.transformers with a signature of text",
    "transformers.log_model(pipeline, name=NAME)", Served.FRAMEWORK, (EXAMPLE,),
)  # fmt: skip
_SENTENCES = _row(
    "sentence-transformers", "mlflow.sentence_transformers",
    "sentence_transformers.log_model(model, name=NAME)", Served.FRAMEWORK, (EXAMPLE,),
)  # fmt: skip
_ESTIMATORS = {
    flavor: _row(
        flavor, f"mlflow.{flavor}", f"{flavor}.log_model(model, name=NAME, input_example=rows)",
        Served.CONVERTED, (EXAMPLE, CONVERSION), "skl2onnx and onnxmltools",
    )
    for flavor in ("sklearn", "xgboost", "lightgbm")
}  # fmt: skip
_ONNX = _row(
    "onnx", "mlflow.onnx", "onnx.log_model(model, name=NAME)", Served.ONNX, (LABELS, EXAMPLE)
)
_FUNCTION = _row(
    "pyfunc", "mlflow.pyfunc, and any flavor with a Python function",
    "pyfunc.log_model(name=NAME, python_model=model, input_example=rows)", Served.FRAMEWORK,
    (EXAMPLE,),
)  # fmt: skip

VARIANTS = (
    _PROGRAM, _MODULE, _TENSORFLOW, *_ESTIMATORS.values(), _NETWORK, _PIPELINE, _SENTENCES, _ONNX,
    _FUNCTION,
)  # fmt: skip


def of_flavors(flavors: Collection[str], files: Collection[str], *, of_text: bool) -> Variant:
    """Return the variant of a folder by its flavors and the names of its files.

    `of_text` says that its signature has text.
    """
    if "onnx" in flavors:
        return _ONNX
    if "pytorch" in flavors:
        return _PROGRAM if any(name.endswith(".pt2") for name in files) else _MODULE
    if {"tensorflow", "keras"} & set(flavors):
        return _TENSORFLOW
    if "sentence_transformers" in flavors:
        return _SENTENCES
    if "transformers" in flavors:
        return _PIPELINE if of_text else _NETWORK
    found = [row for flavor, row in _ESTIMATORS.items() if flavor in flavors]
    return found[0] if found else _FUNCTION
