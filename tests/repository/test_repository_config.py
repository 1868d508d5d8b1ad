"""Facts and a spec in, config.pbtxt and its reasons out.

The expected texts are in configs/; they are what Triton reads, so that a change of one of them is
a change of every repository digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cloche import composition
from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Lock,
    ModelFacts,
    ModelFormat,
    Origin,
    TensorSpec,
)
from cloche.errors import ClocheError, UsageError
from cloche.model_config.messages import parse
from cloche.repository.backends.onnxruntime import OnnxRuntime
from cloche.repository.config import Composed, compose
from cloche.spec import ServiceSpec

CONFIGS = Path(__file__).with_name("configs")
LOCK = Lock("sha256:" + "0" * 64, "3.11", "scikit-learn==1.7.0\n")

BATCH = BatchAxis(True, Certainty.CERTAIN, "the first axis of every input and output is a batch")
ALONE = BatchAxis(False, Certainty.CERTAIN, "the input x is a scalar, which has no axis")


def tensor(name: str, shape: tuple[int, ...], datatype: str = "FP32", **more: Any) -> TensorSpec:
    return TensorSpec(name, datatype, shape, **more)


def onnx(
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    batch: BatchAxis = BATCH,
    **more: Any,
) -> ModelFacts:
    kept: dict[str, Any] = {"size_bytes": 1_000, "memory_bytes": 2_000, **more}
    return ModelFacts(ModelFormat.ONNX, "onnx", "onnxruntime", inputs, outputs, batch, **kept)


def pyfunc(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], **more: Any
) -> ModelFacts:
    return ModelFacts(
        ModelFormat.MLFLOW, "sklearn", "python", inputs, outputs, BATCH, 5_000, None, **more
    )


DIGITS = onnx((tensor("x", (-1, 64)),), (tensor("y", (-1, 10)),))
RESNET = onnx(
    (tensor("data", (-1, 3, 224, 224)),),
    (tensor("logits", (-1, 1000)),),
    size_bytes=102_000_000,
    memory_bytes=114_000_000,
)
SCALAR = onnx((tensor("x", ()),), (tensor("y", ()),), ALONE)
CHURN = pyfunc(
    (tensor("age", (-1,), "INT64"), tensor("city", (-1,), "BYTES", optional=True)),
    (tensor("output", (-1, -1), "FP64"),),
    columns=True,
)


@dataclass(frozen=True)
class Case:
    facts: ModelFacts
    spec: dict[str, object] = field(default_factory=dict)
    lock: Lock | None = None
    filename: str | None = None

    def compose(self) -> Composed:
        spec = ServiceSpec.model_validate({"model": "x", **self.spec})
        backend = composition.backends()[self.facts.backend]
        return compose("digits", self.facts, backend, spec, lock=self.lock, filename=self.filename)


CASES = {
    "batch": Case(DIGITS),
    "image": Case(RESNET),
    "image-in-little-memory": Case(RESNET, {"resources": {"memory": "256Mi"}}),
    "dynamic": Case(
        onnx(
            (tensor("ids", (-1, -1), "INT64"), tensor("mask", (-1, -1), "INT64")),
            (tensor("hidden", (-1, -1, 384)), tensor("pooled", (-1, 384))),
        )
    ),
    "item-scalar": Case(onnx((tensor("x", (-1,)),), (tensor("label", (-1,), "INT64"),))),
    "scalar": Case(SCALAR),
    "fixed-batch": Case(
        onnx(
            (tensor("x", (8, 3)),),
            (tensor("y", (8, 2)),),
            BatchAxis(False, Certainty.LIKELY, "the first axis is fixed at 8", 8),
        )
    ),
    "string": Case(onnx((tensor("text", (-1, 1), "BYTES"),), (tensor("y", (-1, 2)),))),
    "empty-axis": Case(pyfunc((tensor("x", (-1, 0)),), (tensor("y", (-1, 0)),))),
    "no-inputs": Case(
        onnx((), (tensor("y", (-1,)),), BatchAxis(False, Certainty.CERTAIN, "it has no inputs"))
    ),
    "optional": Case(
        onnx(
            (tensor("x", (-1, 2)), tensor("scale", (-1, 1), optional=True)), (tensor("y", (-1, 2)),)
        )
    ),
    "optional-alone": Case(
        onnx((tensor("x", (2,)), tensor("scale", (1,), optional=True)), (tensor("y", (2,)),), ALONE)
    ),
    "all-types": Case(
        onnx(
            tuple(
                tensor(name.lower(), (-1, 1), name)
                for name in ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16")
            ),
            tuple(
                tensor(name.lower(), (-1, 1), name)
                for name in ("INT32", "INT64", "FP16", "FP32", "FP64", "BF16", "BYTES")
            ),
        )
    ),
    "external-data-takes-the-name": Case(DIGITS, filename="digits.onnx"),
    "table": Case(CHURN, lock=LOCK),
    "python-tensor": Case(
        pyfunc((tensor("input", (-1, 64), "FP64"),), (tensor("output", (-1,), "INT64"),)),
        lock=LOCK,
    ),
    "everything-asked": Case(
        DIGITS,
        {
            "batching": {
                "max_batch_size": 32,
                "max_queue_delay": "1ms",
                "preferred_batch_sizes": [8, 16],
                "max_queue_size": 256,
                "queue_timeout": "5s",
            },
            "instances": 2,
            "resources": {"cpu": 4, "memory": "4Gi"},
            "server": {
                "parameters": {"execution_mode": 1, "enable_mem_pattern": 0},
                "warmup": False,
                "graph_optimization": "extended",
            },
        },
    ),
    "batching-off": Case(DIGITS, {"batching": {"max_batch_size": 0, "max_queue_size": 9}}),
    "threads-asked": Case(
        DIGITS,
        {"resources": {"cpu": 8}, "server": {"parameters": {"intra_op_thread_count": 3}}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_text(name: str) -> None:
    expected = (CONFIGS / f"{name}.pbtxt").read_bytes()
    assert CASES[name].compose().text == expected


def test_no_expected_text_is_left_over() -> None:
    assert {path.stem for path in CONFIGS.glob("*.pbtxt")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_field_has_a_reason(name: str) -> None:
    composed = CASES[name].compose()
    reasons = {reason.field for reason in composed.reasons}
    assert all(reason.why and reason.value for reason in composed.reasons)
    for path in _fields(parse(composed.text, name)):
        assert any(path == one or path.startswith(f"{one}.") for one in reasons), path


def _fields(message: Any, prefix: str = "") -> list[str]:
    """Paths of the fields that are set, tensors and parameters by their names."""
    found = []
    for descriptor, value in message.ListFields():
        path = f"{prefix}{descriptor.name}"
        if descriptor.name == "parameters":
            found += [f"{path}.{key}" for key in value]
        elif descriptor.name in {"input", "output"}:
            for one in value:
                found += [p for p in _fields(one, f"{path}.{one.name}.") if not p.endswith(".name")]
        elif descriptor.name == "instance_group":
            found += [inner for one in value for inner in _fields(one, f"{path}.")]
        elif hasattr(value, "ListFields") and value.ListFields():
            found += _fields(value, f"{path}.")
        elif not (descriptor.name == "dynamic_batching" and not value.ListFields()):
            found.append(path)
    return found


@pytest.mark.parametrize("name", CASES)
def test_nothing_depends_on_the_machine(name: str) -> None:
    text = CASES[name].compose().text
    assert b'"/' not in text
    assert b"gpus" not in text
    assert b"KIND_GPU" not in text


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("batch", [(-1, 64)], [(-1, 10)]),
        ("item-scalar", [(-1, 1)], [(-1, 1)]),
        ("scalar", [(1,)], [(1,)]),
        ("fixed-batch", [(8, 3)], [(8, 2)]),
        ("empty-axis", [(-1, -1)], [(-1, -1)]),
        ("optional", [(-1, 2)], [(-1, 2)]),
        ("batching-off", [(-1, 64)], [(-1, 10)]),
    ],
)
def test_what_a_client_sees(
    name: str, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]
) -> None:
    tensors = CASES[name].compose().tensors
    assert [spec.shape for spec in tensors.inputs] == inputs
    assert [spec.shape for spec in tensors.outputs] == outputs


@pytest.mark.parametrize(
    ("name", "field_path", "origin"),
    [
        ("batch", "max_batch_size", Origin.DEFAULT),
        ("scalar", "max_batch_size", Origin.MODEL),
        ("everything-asked", "max_batch_size", Origin.SPEC),
        ("batch", "input.x.dims", Origin.MODEL),
        ("batch", "dynamic_batching.default_queue_policy", Origin.MEASURED),
        ("everything-asked", "parameters.intra_op_thread_count", Origin.SPEC),
        ("table", "parameters.EXECUTION_ENV_PATH", Origin.MODEL),
        ("table", "model_warmup", Origin.DEFAULT),
        ("everything-asked", "model_warmup", Origin.SPEC),
    ],
)
def test_where_a_value_comes_from(name: str, field_path: str, origin: Origin) -> None:
    reasons = {reason.field: reason for reason in CASES[name].compose().reasons}
    assert reasons[field_path].origin is origin


@pytest.mark.parametrize(
    ("facts", "spec", "code"),
    [
        (SCALAR, {"batching": {"max_batch_size": 8}}, "repository.batching"),
        (SCALAR, {"batching": {"max_queue_delay": "1ms"}}, "repository.batching"),
        (SCALAR, {"batching": {"preferred_batch_sizes": [4]}}, "repository.batching"),
        (RESNET, {"batching": {"preferred_batch_sizes": [4096]}}, "repository.batching"),
        (
            DIGITS,
            {"server": {"parameters": {"intra_op_thread_count": "two"}}},
            "repository.parameter",
        ),
        (DIGITS, {"server": {"parameters": {"execution_mode": 2}}}, "repository.parameter"),
        (CHURN, {"server": {"graph_optimization": "basic"}}, "repository.graph_optimization"),
    ],
)
def test_what_the_model_cannot_do_is_refused(
    facts: ModelFacts, spec: dict[str, object], code: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Case(facts, spec).compose()
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (tensor("x", (-1,), "COMPLEX64"), "repository.datatype"),
        (tensor("x", (-1, 0)), "repository.empty_axis"),
    ],
)
def test_what_triton_cannot_hold_is_refused(wrong: TensorSpec, code: str) -> None:
    for facts in (onnx((wrong,), (tensor("y", (-1,)),)), onnx((tensor("y", (-1,)),), (wrong,))):
        with pytest.raises(ClocheError) as caught:
            Case(facts).compose()
        assert caught.value.code == code
        assert caught.value.hint


@pytest.mark.parametrize(
    ("facts", "spec", "code"),
    [
        (DIGITS, {"server": {"parameters": {"intra_op_threads": 1}}}, "repository.parameter"),
        (CHURN, {"server": {"parameters": {"intra_op_thread_count": 1}}}, "repository.parameter"),
        (RESNET, {"resources": {"memory": "128Mi"}, "instances": 2}, "repository.memory"),
        (DIGITS, {"batching": {"max_queue_size": 10}}, "repository.queue_policy"),
        (
            replace(DIGITS, batch=BatchAxis(False, Certainty.LIKELY, "it is called seq")),
            {"batching": {"max_batch_size": 4}},
            "repository.batching",
        ),
    ],
)
def test_what_is_worth_knowing(facts: ModelFacts, spec: dict[str, object], code: str) -> None:
    assert code in {finding.code for finding in Case(facts, spec).compose().findings}


@pytest.mark.parametrize(
    ("activations", "expected"),
    [(1_000, 1024), (2**20, 512), (6_500_000, 64), (12_000_000, 32), (2**30, 1)],
)
def test_the_largest_batch_follows_the_memory_of_an_item(activations: int, expected: int) -> None:
    facts = replace(DIGITS, size_bytes=10**6, memory_bytes=10**6 + activations)
    assert parse(Case(facts).compose().text, "").max_batch_size == expected


class OneAtATime(OnnxRuntime):
    batches = False


def test_a_backend_that_takes_one_request_at_a_time_gets_no_batches() -> None:
    composed = compose("digits", DIGITS, OneAtATime(), ServiceSpec(model="x"))
    assert composed.max_batch_size == 0
    reasons = {reason.field: reason.why for reason in composed.reasons}
    assert "one request at a time" in reasons["max_batch_size"]
    spec = ServiceSpec.model_validate({"model": "x", "batching": {"max_batch_size": 4}})
    with pytest.raises(UsageError, match="one request at a time"):
        compose("digits", DIGITS, OneAtATime(), spec)


def test_parsing_says_the_line() -> None:
    with pytest.raises(UsageError) as caught:
        parse(b'name: "x"\nbackend: "python"\nmax_batch: 3\n', "m/config.pbtxt")
    assert caught.value.where == "m/config.pbtxt:3"
    assert "max_batch" in caught.value.what
    with pytest.raises(UsageError) as caught:
        parse(b'name: "x"\n\n"\xff"', "m/config.pbtxt")
    assert caught.value.where == "m/config.pbtxt:3"
