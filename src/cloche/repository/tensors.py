"""Inputs and outputs: from the shapes of a model to the `dims` of ModelConfig.

With batching the first axis is the batch and not part of `dims`. Triton refuses empty `dims` and
sizes below 1 except -1 (ValidateIOShape in its model_config_utils.cc). So

- a value whose only axis is the batch is `[1]`, reshaped to `[]` on the way to the model;
- a scalar of a model that does not batch is `[1]` alone: ONNX Runtime's backend accepts it as a
  scalar, and refuses an empty `reshape`;
- an axis of constant size 0 cannot be written for ONNX, whose backend requires the model's own
  size, and is -1 for Python; an axis that may have size 0 is -1 anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES, Severity, TensorSpec
from cloche.errors import ClocheError
from cloche.model_config.messages import messages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import ModelFacts
    from cloche.repository.backends import Backend
    from cloche.repository.reasons import Reasons

_STRING_BYTES = 64
"""Bytes of a short string with its object."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """The inputs and outputs of a configuration, in the shapes that clients see."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def can_batch(facts: ModelFacts, backend: Backend) -> str | None:
    """Return why batching is impossible, None if every tensor has a batch axis."""
    if not backend.batches:
        return f"the backend {backend.name} takes one request at a time"
    for kind, specs in (("input", facts.inputs), ("output", facts.outputs)):
        for spec in specs:
            if spec.optional and not backend.optional_inputs:
                continue  # it is left out where requests are joined
            if not spec.shape:
                return f"the {kind} {spec.name} is a scalar, which has no axis"
            if spec.shape[0] != -1:
                return f"the first axis of the {kind} {spec.name} is fixed at {spec.shape[0]}"
    return None if facts.inputs else "the model has no inputs"


def item_bytes(specs: Iterable[TensorSpec]) -> int | None:
    """Return the bytes of one item (without axis 0), None if another axis is dynamic."""
    total = 0
    for spec in specs:
        if any(size < 0 for size in spec.shape[1:]):
            return None
        datatype = DATATYPES.get(spec.datatype)
        size = (datatype.size or _STRING_BYTES) if datatype else 8
        total += math.prod(spec.shape[1:]) * size
    return total


def fill(
    config: Any, facts: ModelFacts, backend: Backend, *, batching: bool, reasons: Reasons
) -> Tensors:
    """Add a model's inputs and outputs to a ModelConfig.

    Raises ClocheError `repository.datatype` for a datatype that Triton lacks and
    `repository.empty_axis` for a shape that `dims` cannot hold.
    """
    fill_one = partial(_fill_one, facts, batching=batching, backend=backend, reasons=reasons)
    inputs: list[TensorSpec] = []
    for spec in facts.inputs:
        if spec.optional and batching and not backend.optional_inputs:
            reasons.model(
                f"input.{spec.name}",
                "left out",
                f"it has a default in the model, but the backend {backend.name} takes no optional "
                "inputs when requests are batched",
            )
            reasons.find(
                Severity.WARNING,
                "optional_input",
                f"Requests cannot set the input {spec.name}: it keeps its default, because the "
                "backend takes no optional inputs where requests are joined.",
                "To have it, serve each request alone: write `batching: {max_batch_size: 0}`.",
            )
            continue
        field = config.input.add()
        inputs.append(fill_one(field, "input", spec))
        if spec.optional:
            field.optional = True
            reasons.model(f"input.{spec.name}.optional", "true", "the model has a default for it")
    outputs = [fill_one(config.output.add(), "output", spec) for spec in facts.outputs]
    return Tensors(tuple(inputs), tuple(outputs))


def _fill_one(
    facts: ModelFacts,
    field: Any,
    kind: str,
    spec: TensorSpec,
    *,
    batching: bool,
    backend: Backend,
    reasons: Reasons,
) -> TensorSpec:
    path = f"{kind}.{spec.name}"
    field.name = spec.name
    field.data_type = messages().DataType.Value(_datatype(kind, spec))
    if 0 in spec.shape and not backend.empty_axes:
        raise _empty(kind, spec)
    asked = facts.inputs_declared and kind == "input"
    why = "inputs in cloche.yaml" if asked else "the model's own type"
    record = reasons.asked if asked else reasons.model
    record(f"{path}.data_type", DATATYPES[spec.datatype].config, why)
    sizes = spec.shape[1:] if batching else spec.shape
    dims = tuple(size if size > 0 else -1 for size in sizes) or (1,)
    field.dims.extend(dims)
    by = "inputs in cloche.yaml declares" if asked else "the model declares"
    record(f"{path}.dims", list(dims), _why(spec, sizes, by, batching=batching))
    if batching and not sizes:
        field.reshape.SetInParent()
        reasons.model(f"{path}.reshape", "[]", "the model takes it with no axis beside the batch")
    shape = (-1, *dims) if batching else dims
    labels = spec.labels if len(spec.labels) == len(shape) else ()
    return replace(spec, shape=shape, labels=labels)


def _empty(kind: str, spec: TensorSpec) -> ClocheError:
    return ClocheError(
        "repository.empty_axis",
        f"The {kind} {spec.name} has the shape {list(spec.shape)}, and Triton's configuration "
        "cannot hold an axis of size 0.",
        hint="Export the model with that axis dynamic; requests may then have a size of 0 in it.",
    )


def _datatype(kind: str, spec: TensorSpec) -> str:
    if spec.datatype not in DATATYPES:
        raise ClocheError(
            "repository.datatype",
            f"The {kind} {spec.name} has the type {spec.datatype}, which Triton does not support.",
            hint=f"Export the model with one of {', '.join(sorted(DATATYPES))}.",
        )
    return DATATYPES[spec.datatype].config


def _why(spec: TensorSpec, sizes: tuple[int, ...], by: str, *, batching: bool) -> str:
    if spec.declared is not None:
        loaded = f"the runtime loads {list(spec.shape)} where the file has {list(spec.declared)}"
        return f"{loaded}; the batch axis is not part of dims" if batching else loaded
    labels = spec.labels or (None,) * len(spec.shape)
    axes = [
        label or ("?" if size < 0 else str(size))
        for size, label in zip(spec.shape, labels, strict=False)
    ]
    declared = f"{by} [{', '.join(axes)}]"
    if not sizes:
        return f"{declared}; Triton writes a single value as [1]"
    return f"{declared}; the batch axis is not part of dims" if batching else declared
