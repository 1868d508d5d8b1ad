"""ONNX models against the runtime that serves them: the operator table, and direct runs."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche import pipeline
from cloche.artifacts import Deployment, Judge, Member, RequestOrigin
from cloche.clients.kserve.tensors import decode
from cloche.formats.onnx import operators
from cloche.progress import SilentProgress
from cloche.spec import ServiceSpec
from cloche.store import Store
from cloche.verification.reference import Interpreters
from fixtures.golden import examined, golden

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.servers.triton import TritonInstallation

KERNELS = """
import json
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state
opsets = {}
for schema in state.get_all_operator_schema():
    domain = schema.domain or "ai.onnx"
    opsets[domain] = max(opsets.get(domain, 0), schema.since_version)
kernels = sorted({(k.domain or "ai.onnx") + "." + k.op_name for k in state.get_all_opkernel_def()
                  if k.provider == "CPUExecutionProvider"})
print(json.dumps({"version": onnxruntime.__version__, "opsets": opsets, "kernels": kernels}))
"""


def test_the_operator_table_is_that_of_the_runtime(
    triton_installation: TritonInstallation,
) -> None:
    program = [triton_installation.environment / "bin" / "python", "-c", KERNELS]
    done = subprocess.run(program, capture_output=True, check=True, timeout=60)
    real, table = json.loads(done.stdout), operators.runtime()
    if table["runtime"] != f"onnxruntime {real['version']}":
        pytest.skip(f"the server's Python has another ONNX Runtime, {real['version']}")
    assert table["opsets"] == {name: real["opsets"][name] for name in table["opsets"]}
    listed = {f"{domain}.{name}" for domain, names in table["operators"].items() for name in names}
    known = {name for name in real["kernels"] if name.rpartition(".")[0] in table["opsets"]}
    assert known <= listed
    functions = {
        f"ai.onnx.{schema.name}"
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.domain == "" and (schema.has_function or schema.has_context_dependent_function)
    }
    assert listed - known <= functions | {"ai.onnx.Constant"}


def deploy(model: Any, folder: Path, store: Store, **spec: Any) -> Deployment:
    path = folder / "model.onnx"
    onnx.save(model, path)
    snapshot = pipeline.resolve(
        str(path), directory=folder, store=store, progress=SilentProgress(), environment={}
    )
    facts = pipeline.facts(snapshot, store)
    given = ServiceSpec.model_validate({"model": str(path), **spec})
    built = pipeline.build("m", snapshot, facts, None, given, store)
    return Deployment("m", (Member("m", snapshot, facts),), built)


def graph(nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], **weights: Any) -> Any:
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes, "g",
        [value(name, *given) for name, given in inputs.items()],
        [value(name, *given) for name, given in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


FLOAT, TEXT, LONG = TensorProto.FLOAT, TensorProto.STRING, TensorProto.INT64
STRIDED = graph(
    [helper.make_node("Conv", ["x", "w"], ["c"], strides=[8, 8]),
     helper.make_node("GlobalMaxPool", ["c"], ["y"])],
    {"x": (FLOAT, ["N", 1, "H", "W"])}, {"y": (FLOAT, ["N", 2, 1, 1])},
    w=np.ones((2, 1, 8, 8), "f4"),
)  # fmt: skip
CASES = {
    "words": (
        graph([helper.make_node("Identity", ["x"], ["y"])], {"x": (TEXT, ["N", 2])},
              {"y": (TEXT, ["N", 2])}),
        {"x": (2, 2)}, {"y": (2, 2)},
    ),
    "one value per row": (
        graph([helper.make_node("Abs", ["x"], ["y"])], {"x": (LONG, ["N"])}, {"y": (LONG, ["N"])}),
        {"x": (2, 1)}, {"y": (2, 1)},
    ),
    "a scalar": (
        graph([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": (FLOAT, [2, 2])},
              {"y": (FLOAT, [])}),
        {"x": (2, 2)}, {"y": (1,)},
    ),
    "too small an image at first": (STRIDED, {"x": (2, 1, 32, 32)}, {"y": (2, 2, 1, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_direct_run_gives_the_expected_answer(
    name: str, tmp_path: Path, triton_installation: TritonInstallation
) -> None:
    model, inputs, outputs = CASES[name]
    store = Store(tmp_path / "store", 2**30)
    pythons = Interpreters(triton_installation.interpreter, None)
    made = golden(deploy(model, tmp_path, store), store, pythons)
    assert (made.origin, made.judge) == (RequestOrigin.MADE, Judge.REFERENCE)
    assert made.expected is not None
    for body, shapes in ((made.requests[0], inputs), (made.expected, outputs)):
        tensors = decode(store.read(body.digest), body.header_length)
        assert {key: array.shape for key, array in tensors.items()} == shapes


def test_a_model_that_mixes_rows_is_served_without_batches(
    tmp_path: Path, triton_installation: TritonInstallation
) -> None:
    model = graph(
        [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
        {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 4])},
    )  # fmt: skip
    store = Store(tmp_path / "store", 2**30)
    pythons = Interpreters(triton_installation.interpreter, None)
    found = examined(deploy(model, tmp_path, store), store, pythons).facts
    assert not found.batch.present
    alone = deploy(model, tmp_path, store, batching={"max_batch_size": 0})
    assert golden(alone, store, pythons).judge is Judge.REFERENCE
