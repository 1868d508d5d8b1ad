"""What is read from an ONNX file: tensors, versions, operators, sizes and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import FLOAT, mlp, model, node

from cloche.artifacts import ModelFacts, Severity, TensorSpec
from cloche.errors import ClocheError, ErrorGroup
from cloche.formats import require_servable
from cloche.formats.onnx import inspection

if TYPE_CHECKING:
    from pathlib import Path


def facts_of(proto: Any, folder: Path, **save: Any) -> ModelFacts:
    path = folder / "model.onnx"
    onnx.save(proto, path, **save)
    return inspection.inspect_file(path)


def test_tensors_versions_and_sizes(tmp_path: Path) -> None:
    facts = facts_of(mlp(producer_name="pytorch", producer_version="2.9"), tmp_path)
    (x,), (y,) = facts.inputs, facts.outputs
    assert (x.name, x.datatype, x.shape, x.labels) == ("x", "FP32", (-1, 64), ("batch", None))
    assert (y.name, y.datatype, y.shape) == ("y", "FP32", (-1, 10))
    assert facts.framework == "onnx (pytorch 2.9)"
    assert facts.opsets == {"ai.onnx": 20}
    assert facts.operators == {"ai.onnx.MatMul": 1}
    assert facts.unsupported_operators == facts.findings == ()
    weights, activations = 64 * 10 * 4, (64 + 10) * 4
    assert facts.memory_bytes == weights + activations
    assert facts.size_bytes == (tmp_path / "model.onnx").stat().st_size


def test_initialisers_are_not_inputs_and_scalars_have_no_axis(tmp_path: Path) -> None:
    proto = model(
        [node("Mul", "x w", "m"), node("Add", "m s", "y")],
        {"x": ["N", 3], "w": [3], "s": []},
        {"y": ["N", 3]},
        {"w": np.ones(3, "f4")},
    )
    facts = facts_of(proto, tmp_path)
    required = [(spec.name, spec.shape) for spec in facts.inputs if not spec.optional]
    assert required == [("x", (-1, 3)), ("s", ())]
    assert not facts.batch.present
    assert "scalar" in facts.batch.why


def test_the_shape_of_an_output_is_inferred_where_it_is_missing(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    facts = facts_of(proto, tmp_path)
    assert facts.outputs[0].shape == (-1, 10)
    assert facts.batch.present


def test_a_shape_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    proto = model([node("Mystery", "x", "y", domain="acme")], {"x": ["N", 2]}, {"y": (FLOAT, None)})
    facts = facts_of(proto, tmp_path)
    errors = [found.code for found in facts.findings if found.severity is Severity.ERROR]
    assert errors == ["inspection.onnx.operator", "inspection.onnx.shape"]
    with pytest.raises(ErrorGroup) as caught:
        require_servable(facts, "here")
    assert [error.where for error in caught.value.errors] == ["here", "here"]


@pytest.mark.parametrize(
    ("operator", "weights", "more", "axes"),
    [
        ("Gemm", {"w": [3, 2]}, {}, 2),
        ("Conv", {"w": [2, 3, 3, 3]}, {}, 4),
        ("Conv", {"w": [2, 3, 3]}, {}, 3),
        ("MaxPool", {}, {"kernel_shape": [2, 2]}, 4),
    ],
)
def test_an_operator_tells_the_axes_of_an_input_without_a_shape(
    operator: str, weights: dict[str, list[int]], more: dict[str, Any], axes: int, tmp_path: Path
) -> None:
    inputs = " ".join(["x", *weights])
    held = {name: np.ones(shape, "f4") for name, shape in weights.items()}
    taken: Any = {"x": (FLOAT, None)}
    proto = model([node(operator, inputs, "y", **more)], taken, {"y": (FLOAT, None)}, held)
    facts = facts_of(proto, tmp_path)
    assert [len(spec.shape) for spec in (*facts.inputs, *facts.outputs)] == [axes, axes]
    assert facts.opened == ("x",)
    assert [found.code for found in facts.findings][:1] == ["inspection.onnx.unshaped"]


def test_inputs_without_a_shape_get_that_of_cloche_yaml(tmp_path: Path) -> None:
    taken: Any = {"x": (FLOAT, None)}
    onnx.save(model([node("Relu", "x", "y")], taken, {"y": (FLOAT, None)}), tmp_path / "m.onnx")
    (refused,) = inspection.inspect_file(tmp_path / "m.onnx").findings[:1]
    assert refused.severity is Severity.ERROR
    assert "`inputs: {x: {shape: [batch, 4], datatype: FP32}}`" in (refused.hint or "")
    asked = TensorSpec("x", "FP32", (-1, 4), ("batch", None))
    facts = inspection.inspect_file(tmp_path / "m.onnx", declared=(asked,))
    assert (facts.inputs, facts.outputs[0].shape) == ((asked,), (-1, 4))
    assert facts.batch.present


def test_operators_in_subgraphs_and_functions_count_and_calls_do_not(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [node("Custom", "x", "b", domain="acme")], "branch", [],
        [helper.make_tensor_value_info("b", FLOAT, ["N", 2])],
    )  # fmt: skip
    proto = model(
        [
            node("If", "c", "i", then_branch=branch, else_branch=branch),
            node("Twice", "i", "y", domain="local"),
        ],
        {"x": ["N", 2], "c": (TensorProto.BOOL, [])},
        {"y": ["N", 2]},
    )
    twice = helper.make_function(
        "local", "Twice", ["a"], ["d"], [node("Add", "a a", "d")], [helper.make_opsetid("", 20)]
    )
    proto.functions.append(twice)
    proto.opset_import.append(helper.make_opsetid("acme", 1))
    facts = facts_of(proto, tmp_path)
    assert facts.operators == {"acme.Custom": 2, "ai.onnx.Add": 1, "ai.onnx.If": 1}
    assert facts.unsupported_operators == ("acme.Custom",)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"opset": 29}, "inspection.onnx.opset"),
        ({"opset": 5}, "inspection.onnx.opset_old"),
        ({"ir": 99}, "inspection.onnx.ir_version"),
    ],
)
def test_versions_that_the_runtime_does_not_know(
    change: dict[str, int], code: str, tmp_path: Path
) -> None:
    proto = mlp(opset=change.get("opset", 20))
    proto.ir_version = change.get("ir", 10)
    assert code in [found.code for found in facts_of(proto, tmp_path).findings]


def test_an_operator_for_accelerators_only_is_a_warning(tmp_path: Path) -> None:
    proto = model(
        [node("BiasAdd", "x b s", "y", domain="com.microsoft")],
        {"x": ["N", 2, 2], "b": [2], "s": ["N", 2, 2]}, {"y": ["N", 2, 2]},
    )  # fmt: skip
    found = {one.code: one.severity for one in facts_of(proto, tmp_path).findings}
    assert found["inspection.onnx.accelerator"] is Severity.WARNING


def test_external_data_counts_and_must_be_there(tmp_path: Path) -> None:
    facts = facts_of(
        mlp(), tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    weights = tmp_path / "weights.bin"
    assert facts.size_bytes == (tmp_path / "model.onnx").stat().st_size + weights.stat().st_size
    weights.write_bytes(b"short")
    assert _code(tmp_path) == "inspection.onnx.external_truncated"
    weights.unlink()
    assert _code(tmp_path) == "inspection.onnx.external_missing"


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", ""])
def test_external_data_stays_in_its_folder(location: str, tmp_path: Path) -> None:
    proto = mlp()
    (tmp_path / "weights.bin").write_bytes(bytes(10_000))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "model.onnx").write_bytes(proto.SerializeToString())
    assert _code(tmp_path / "inside") == "inspection.onnx.external_outside"


def _code(folder: Path) -> str:
    with pytest.raises(ClocheError) as caught:
        inspection.inspect_file(folder / "model.onnx")
    return caught.value.code


@pytest.mark.parametrize(
    ("proto", "words", "hint"),
    [
        (
            model(
                [node("ZipMap", "x", "y", domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
                {"x": ["N", 2]},
                {
                    "y": (
                        helper.make_sequence_type_proto(
                            helper.make_map_type_proto(
                                TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, [])
                            )
                        ),
                    )
                },
            ),
            "y is a sequence of maps",
            "zipmap=False",
        ),
        (
            model(
                [node("Identity", "x", "y")],
                {"x": (TensorProto.BFLOAT16, ["N"])},
                {"y": (TensorProto.BFLOAT16, ["N"])},
            ),
            "x is a tensor of BFLOAT16",
            "float32",
        ),
        (
            model(
                [node("OptionalGetElement", "x", "y")],
                {
                    "x": (
                        helper.make_optional_type_proto(
                            helper.make_tensor_type_proto(FLOAT, ["N"])
                        ),
                    )
                },
                {"y": ["N"]},
            ),
            "x is an optional value",
            "plain tensors",
        ),
    ],
    ids=["zipmap", "bfloat16", "optional"],
)
def test_values_that_are_not_tensors_are_refused(
    proto: Any, words: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ClocheError) as caught:
        facts_of(proto, tmp_path)
    assert caught.value.code == "inspection.onnx.type"
    assert words in caught.value.what
    assert hint in str(caught.value.hint)


def overridable(count: int = 1, size: int = 3, ir: int = 10) -> Any:
    """Make y = x * w0 …, where each w is an initialiser and an input."""
    names = [f"w{index}" for index in range(count)]
    nodes = [node("Sum", " ".join(["x", *names]), "y")]
    inputs = {"x": ["N", size], **{name: [size] for name in names}}
    weights = {name: np.ones(size, "f4") for name in names}
    proto = model(nodes, inputs, {"y": ["N", size]}, weights)
    proto.ir_version = ir
    return proto


def test_a_default_that_callers_may_override_is_an_optional_input(tmp_path: Path) -> None:
    facts = facts_of(overridable(), tmp_path)
    assert [(spec.name, spec.optional) for spec in facts.inputs] == [("x", False), ("w0", True)]
    assert facts.batch.present
    assert not facts.findings


@pytest.mark.parametrize(
    ("count", "size", "ir", "told"),
    [(17, 3, 10, True), (1, 2000, 10, True), (16, 3, 10, False), (17, 3, 3, False)],
    ids=["many", "large", "few", "before overriding"],
)
def test_weights_that_an_exporter_listed_as_inputs(
    count: int, size: int, ir: int, told: bool, tmp_path: Path
) -> None:
    facts = facts_of(overridable(count, size, ir), tmp_path)
    found = [one for one in facts.findings if one.code == "inspection.onnx.defaults"]
    assert bool(found) is told
    assert (len(facts.inputs) == 1) is (told or ir < 4)
    assert not told or "keep_initializers_as_inputs=False" in str(found[0].hint)


def test_an_input_without_elements_is_opened_and_an_output_left_out(tmp_path: Path) -> None:
    proto = model(
        [node("Concat", "x e", "y", axis=0), node("Identity", "e", "z")],
        {"x": [2, 3], "e": [0, 3]}, {"y": [2, 3], "z": [0, 3]},
    )  # fmt: skip
    facts = facts_of(proto, tmp_path)
    found = {one.code: one for one in facts.findings}
    assert "input e has the shape [0, 3]" in found["inspection.onnx.empty_input"].what
    assert found["inspection.onnx.empty_input"].severity is Severity.NOTE
    assert "output z is left out" in found["inspection.onnx.empty_output"].what
    assert [spec.name for spec in facts.outputs] == ["y"]
    assert (facts.opened, facts.inputs[1].shape, facts.inputs[1].declared) == (
        ("e",), (-1, 3), (0, 3),
    )  # fmt: skip


def test_errors_name_the_file_that_the_user_knows(tmp_path: Path) -> None:
    kept = tmp_path / "model.onnx"
    kept.write_bytes(mlp().SerializeToString()[:40])
    with pytest.raises(ClocheError) as caught:
        inspection.inspect_file(kept, "/home/me/churn v2.onnx")
    assert caught.value.where == "/home/me/churn v2.onnx"
    proto = model([node("Identity", "x", "y")], {"x": (TensorProto.COMPLEX64, ["N"])}, {"y": ["N"]})
    kept.write_bytes(proto.SerializeToString())
    with pytest.raises(ClocheError) as caught:
        inspection.inspect_file(kept, "/home/me/churn v2.onnx")
    assert caught.value.where == "/home/me/churn v2.onnx"
    assert caught.value.what.startswith("churn v2.onnx has an input")
