from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cloche.errors import ClocheError
from cloche.formats.onnx.codes import SOURCE
from cloche.formats.onnx.file import ExternalData, external_data


def external(name: str, location: str, offset: int = 0, length: int = 16) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model_with(*initializers: TensorProto, constant: TensorProto | None = None) -> onnx.ModelProto:
    """A model whose branch of an If holds a constant, as deep as tensors usually go."""
    one = constant or numpy_helper.from_array(np.ones(4, np.float32), "one")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=one)],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        initializer=initializers,
    )
    return helper.make_model(graph)


def error_of(path: Path) -> str | None:
    try:
        external_data(path, SOURCE)
    except ClocheError as error:
        return error.code
    return None


WHOLE = model_with(numpy_helper.from_array(np.arange(64, dtype=np.float32), "w"))
WHOLE_BYTES = WHOLE.SerializeToString()


def test_a_model_that_holds_its_weights_needs_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(WHOLE, path)
    assert external_data(path, SOURCE) == ()


def test_files_are_found_in_initializers_and_in_the_branches_of_nodes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = model_with(
        external("a", "weights.bin"),
        external("b", "weights.bin", offset=4096, length=64),
        external("é", "dir/other é.bin"),
        constant=external("c", "constant.bin"),
    )
    path.write_bytes(model.SerializeToString())
    assert external_data(path, SOURCE) == (
        ExternalData("constant.bin", 16),
        ExternalData("dir/other é.bin", 16),
        ExternalData("weights.bin", 4160),
    )


@given(cut=st.integers(1, len(WHOLE_BYTES) - 1))
def test_a_file_cut_off_anywhere_is_refused_or_lacks_only_what_is_last(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.onnx"
    path.write_bytes(WHOLE_BYTES[:cut])
    if error_of(path) is None:
        assert onnx.ModelProto.FromString(WHOLE_BYTES[:cut]).graph == WHOLE.graph
    else:
        assert error_of(path) == "source.onnx.truncated"


@settings(max_examples=200)
@given(data=st.binary(max_size=200) | st.binary(max_size=80).map(lambda b: WHOLE_BYTES[:150] + b))
def test_no_bytes_raise_anything_but_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    assert error_of(path) in {None, "source.onnx.truncated", "source.onnx.invalid"}


def test_messages_nested_without_end_are_refused(tmp_path: Path) -> None:
    attribute = b""
    for _ in range(200):  # node 1 { attribute 5 { graph 6 { node 1 …
        for field in (6, 5, 1):
            size = len(attribute)
            prefix = bytes(
                [field << 3 | 2, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]
            )
            attribute = prefix + attribute
    path = tmp_path / "deep.onnx"
    size = len(attribute)
    path.write_bytes(b"\x08\x0a" + bytes([7 << 3 | 2, size & 0x7F | 0x80, size >> 7]) + attribute)
    with pytest.raises(ClocheError, match="too deep"):
        external_data(path, SOURCE)
