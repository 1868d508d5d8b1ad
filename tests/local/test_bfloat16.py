"""BF16 inputs and outputs on real Triton: numpy has no such type, ONNX Runtime and Triton have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import Tensor, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.triton import TritonStarter

CONFIG = """
backend: "onnxruntime"
max_batch_size: %d
input { name: "x" data_type: TYPE_BF16 dims: [%s] }
input { name: "scale" data_type: TYPE_FP32 dims: [%s] }
output { name: "y" data_type: TYPE_BF16 dims: [%s] }
output { name: "wide" data_type: TYPE_FP32 dims: [%s] }
"""


def scaled() -> onnx.ModelProto:
    """Make y = wide = x * scale, with x and y of BF16."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["y"], to=TensorProto.BFLOAT16),
    ]
    shape = ["n", 3]
    graph = helper.make_graph(
        nodes,
        "scaled",
        [
            helper.make_tensor_value_info("x", TensorProto.BFLOAT16, shape),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, shape),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.BFLOAT16, shape),
            helper.make_tensor_value_info("wide", TensorProto.FLOAT, shape),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("batch", [0, 8])
def test_bf16_goes_in_and_out(batch: int, triton_starter: TritonStarter, tmp_path: Path) -> None:
    folder = tmp_path / "scaled"
    (folder / "1").mkdir(parents=True)
    dims = "3" if batch else "-1, 3"
    (folder / "config.pbtxt").write_text(CONFIG % (batch, dims, dims, dims, dims))
    onnx.save(scaled(), folder / "1" / "model.onnx")
    running = triton_starter.start(tmp_path, ["scaled"])
    x = np.array([[1, 2, 3], [-0.5, 100, 0]], np.float32)
    scale = np.full((2, 3), 2, np.float32)
    body, length = encode({"x": Tensor(x, "BF16"), "scale": scale}, binary=True)
    with InferenceClient(running.url) as client:
        answer = client.infer("scaled", body, length)
    got = decode(answer.body, answer.header_length)
    np.testing.assert_array_equal(got["y"], x * 2)
    np.testing.assert_array_equal(got["wide"], x * 2)
    running.stop()
