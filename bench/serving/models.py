"""The models of the serving bench, with random weights: speed does not depend on them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class BenchModel:
    """An ONNX file with one FP32 input `input` (batch first) and one output `output`."""

    name: str
    path: Path
    shape: tuple[int, ...]
    """Shape of one row."""
    max_batch_size: int
    latency_ms: int
    """Time limit of a waiting request, for servers with such a setting."""
    longer: dict[int, int]
    """By number of connections: the factor by which a cell takes longer. Requests under way at the
    end are not counted, so a cell must last for many batches."""

    def row(self) -> np.ndarray:
        """Return one row of input, the same in every run, shape (1, …)."""
        return np.random.default_rng(0).random((1, *self.shape), dtype=np.float32)


def small_mlp(folder: Path) -> BenchModel:
    """Write a 64-256-256-10 perceptron: so small that the measurement is of the server."""
    graph = _Graph()
    value = "input"
    sizes = [64, 256, 256, 10]
    for index, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        value = graph.node(
            "Gemm", value, graph.weight(wide, narrow), graph.weight(narrow, fan_in=wide)
        )
        if index < len(sizes) - 2:
            value = graph.node("Relu", value)
    path = graph.save(folder / "mlp.onnx", value, (64,), (10,))
    return BenchModel("mlp", path, (64,), 32, latency_ms=1_000, longer={1: 1, 32: 1})


def resnet50(folder: Path) -> BenchModel:
    """Write ResNet-50 v1.5, batch norm folded into the convolutions, 224x224 RGB, 1000 classes."""
    graph = _Graph()
    value = graph.node("Relu", graph.convolution("input", 3, 64, 7, 2))
    value = graph.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            value = _bottleneck(graph, value, channels, width, stride)
            channels = width * 4
    value = graph.node("Flatten", graph.node("GlobalAveragePool", value))
    value = graph.node("Gemm", value, graph.weight(2048, 1000), graph.weight(1000, fan_in=2048))
    path = graph.save(folder / "resnet50.onnx", value, (3, 224, 224), (1000,))
    return BenchModel("resnet50", path, (3, 224, 224), 8, latency_ms=60_000, longer={1: 2, 32: 8})


def _bottleneck(graph: _Graph, value: str, channels: int, width: int, stride: int) -> str:
    inner = graph.node("Relu", graph.convolution(value, channels, width, 1, 1))
    inner = graph.node("Relu", graph.convolution(inner, width, width, 3, stride))
    inner = graph.convolution(inner, width, width * 4, 1, 1)
    if stride != 1 or channels != width * 4:
        value = graph.convolution(value, channels, width * 4, 1, stride)
    return graph.node("Relu", graph.node("Add", inner, value))


class _Graph:
    """Nodes and weights in order of addition."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(7)

    def weight(self, *shape: int, fan_in: int | None = None) -> str:
        """Add a weight with a variance that preserves the size of activations."""
        scale = np.sqrt(2.0 / (fan_in or int(np.prod(shape[1:] if len(shape) > 2 else shape[:1]))))
        values = self._random.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        name = f"weight{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def convolution(self, value: str, inputs: int, outputs: int, kernel: int, stride: int) -> str:
        weight = self.weight(outputs, inputs, kernel, kernel)
        bias = self.weight(outputs, fan_in=10_000)
        return self.node(
            "Conv",
            value,
            weight,
            bias,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def save(
        self, path: Path, value: str, row_in: tuple[int, ...], row_out: tuple[int, ...]
    ) -> Path:
        self._nodes.append(helper.make_node("Identity", [value], ["output"]))
        graph = helper.make_graph(
            self._nodes,
            path.stem,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *row_in])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", *row_out])],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path
