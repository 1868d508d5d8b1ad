"""The Python-based backend `onnxruntime`, asked through a real Triton."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import Tensor, decode, encode
from cloche.errors import ClocheError
from fixtures.triton import document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fixtures.triton import RunningTriton, TritonStarter

_ONNX_TYPES = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32, "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16, "INT32": TensorProto.INT32, "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16, "FP32": TensorProto.FLOAT, "FP64": TensorProto.DOUBLE,
    "STRING": TensorProto.STRING,
}  # fmt: skip


def value(name: str, datatype: str, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _ONNX_TYPES[datatype], shape)


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any],
         constants: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:  # fmt: skip
    initializers = [numpy_helper.from_array(v, k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    path.parent.mkdir(parents=True)
    onnx.save(model, path, **options)


def configure(tree: Path, model: str, text: str) -> Path:
    folder = tree / model
    folder.mkdir()
    folder.joinpath("config.pbtxt").write_text(text + "\ninstance_group [ { count: 1 } ]\n")
    return folder / "1" / "model.onnx"


def io(key: str, name: str, datatype: str, dims: list[int], more: str = "") -> str:
    return f'{key} [ {{ name: "{name}" data_type: TYPE_{datatype} dims: {dims} {more} }} ]\n'


def make_repository(tree: Path) -> list[str]:
    node, backend = helper.make_node, 'backend: "onnxruntime"\n'
    # y = 2 x, joined while a first run is under way
    save(
        configure(tree, "double", backend + "max_batch_size: 64\n"
                  + io("input", "x", "FP32", [-1]) + io("output", "y", "FP32", [-1])
                  + "dynamic_batching { max_queue_delay_microseconds: 200000 }"),
        [node("Add", ["x", "x"], ["y"])],
        [value("x", "FP32", ["batch", "n"])], [value("y", "FP32", ["batch", "n"])],
    )  # fmt: skip
    # an index out of range fails the run that it is in
    save(
        configure(tree, "lookup", backend + "max_batch_size: 64\n"
                  + io("input", "index", "INT64", [1], "reshape: { shape: [] }")
                  + io("output", "found", "FP32", [1], "reshape: { shape: [] }")
                  + "dynamic_batching { max_queue_delay_microseconds: 200000 }"),
        [node("Gather", ["table", "index"], ["found"])],
        [value("index", "INT64", ["batch"])], [value("found", "FP32", ["batch"])],
        {"table": np.arange(10, dtype=np.float32)},
    )  # fmt: skip
    types = list(_ONNX_TYPES)
    save(
        configure(tree, "types", 'platform: "onnxruntime_onnx"\nmax_batch_size: 4\n'
                  + "".join(io("input", f"in_{t}", t, [2]) for t in types)
                  + "".join(io("output", f"out_{t}", t, [2]) for t in types)),
        [node("Identity", [f"in_{t}"], [f"out_{t}"]) for t in types],
        [value(f"in_{t}", t, ["batch", 2]) for t in types],
        [value(f"out_{t}", t, ["batch", 2]) for t in types],
    )  # fmt: skip
    save(
        configure(tree, "scalar", backend + io("input", "x", "FP32", [1])
                  + io("output", "y", "FP32", [1])),
        [node("Add", ["x", "x"], ["y"])], [value("x", "FP32", [])], [value("y", "FP32", [])],
    )  # fmt: skip
    save(
        configure(tree, "transpose", backend + io("input", "x", "FP32", [-1, -1])
                  + io("output", "y", "FP32", [-1, -1])),
        [node("Transpose", ["x"], ["y"])],
        [value("x", "FP32", ["n", "m"])], [value("y", "FP32", ["m", "n"])],
    )  # fmt: skip
    save(
        configure(tree, "optional", backend + io("input", "x", "FP32", [2])
                  + io("input", "bias", "FP32", [2], "optional: true")
                  + io("output", "y", "FP32", [2])),
        [node("Add", ["x", "bias"], ["y"])],
        [value("x", "FP32", [2]), value("bias", "FP32", [2])], [value("y", "FP32", [2])],
        {"bias": np.array([10, 20], dtype=np.float32)},
    )  # fmt: skip
    # nothing but the backend is said; weights stand in a file of their own
    save(
        configure(tree, "automatic", backend),
        [node("MatMul", ["x", "w"], ["y"])],
        [value("x", "FP32", ["batch", 8])], [value("y", "FP32", ["batch", 4])],
        {"w": np.ones((8, 4), dtype=np.float32)},
        save_as_external_data=True, location="weights.bin", size_threshold=0,
    )  # fmt: skip
    return ["double", "lookup", "types", "scalar", "transpose", "optional", "automatic"]


@pytest.fixture(scope="module")
def server(
    triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory
) -> RunningTriton:
    tree = tmp_path_factory.mktemp("repository")
    return triton_starter.start(tree, make_repository(tree))


@pytest.fixture(scope="module")
def client(server: RunningTriton) -> Iterator[InferenceClient]:
    with InferenceClient(server.url, timeout=30) as one:
        yield one


def ask(client: InferenceClient, model: str, tensors: Mapping[str, Any], *, binary: bool = True,
        outputs: list[str] | None = None) -> dict[str, Any]:  # fmt: skip
    body, length = encode(tensors, binary=binary, outputs=outputs)
    answer = client.infer(model, body, length)
    return decode(answer.body, answer.header_length)


_SAMPLES: dict[str, Any] = {
    **{t: np.array([[1, 0], [3, 100]], dtype=t.lower()) for t in _ONNX_TYPES if "INT" in t},
    "BOOL": np.array([[True, False], [False, True]]),
    "FP16": np.array([[0.5, -2], [65504, 0]], dtype=np.float16),
    "FP32": np.array([[0.1, -2], [np.inf, 0]], dtype=np.float32),
    "FP64": np.array([[0.1, -2], [1e300, 0]]),
    "STRING": np.array([[b"a", "\u00e9\u4e2d".encode()], [b"", b"x" * 1000]], dtype=object),
}


def test_every_datatype_comes_back_as_it_went(client: InferenceClient) -> None:
    answer = ask(client, "types", {f"in_{t}": sample for t, sample in _SAMPLES.items()})
    for name, sample in _SAMPLES.items():
        made = answer[f"out_{name}"]
        assert made.dtype == sample.dtype, name
        np.testing.assert_array_equal(made, sample, err_msg=name)


def test_only_the_outputs_asked_for_are_answered(client: InferenceClient) -> None:
    tensors = {f"in_{t}": sample for t, sample in _SAMPLES.items()}
    answer = ask(client, "types", tensors, outputs=["out_INT8", "out_STRING"])
    assert set(answer) == {"out_INT8", "out_STRING"}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (3, 0), (1, 1)])
def test_free_dimensions_and_none_of_them(
    client: InferenceClient, shape: tuple[int, int], *, binary: bool
) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(ask(client, "transpose", {"x": x}, binary=binary)["y"], x.T)


def test_a_scalar_is_one_number(client: InferenceClient) -> None:
    answer = ask(client, "scalar", {"x": np.array([1.5], dtype=np.float32)}, binary=False)
    np.testing.assert_array_equal(answer["y"], np.array([3.0], dtype=np.float32))


def test_an_optional_input_has_its_default(client: InferenceClient) -> None:
    x = np.array([1, 2], dtype=np.float32)
    np.testing.assert_array_equal(ask(client, "optional", {"x": x})["y"], [11, 22])
    np.testing.assert_array_equal(ask(client, "optional", {"x": x, "bias": x})["y"], [2, 4])


def test_what_the_configuration_leaves_out_is_filled_in_as_the_native_backend_does(
    client: InferenceClient,
) -> None:
    config = document(client, "models/automatic/config")
    assert config["max_batch_size"] == 4
    assert "dynamic_batching" in config
    assert [(i["name"], i["data_type"], i["dims"]) for i in config["input"]] == [
        ("x", "TYPE_FP32", [8])
    ]
    x = np.ones((3, 8), dtype=np.float32)
    np.testing.assert_array_equal(ask(client, "automatic", {"x": x})["y"], np.full((3, 4), 8))


def executions(client: InferenceClient, model: str) -> tuple[int, int]:
    statistics = document(client, f"models/{model}/stats")["model_stats"][0]
    return statistics["inference_count"], statistics["execution_count"]


def all_at_once(client: InferenceClient, model: str, requests: list[Any]) -> list[Any]:
    barrier = threading.Barrier(len(requests))

    def send(tensors: Any) -> Any:
        barrier.wait(timeout=20)
        try:
            return ask(client, model, tensors)
        except ClocheError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def test_requests_are_run_together_and_get_their_own_rows(client: InferenceClient) -> None:
    before = executions(client, "double")
    requests = [{"x": np.full((1 + i % 3, 5), i, dtype=np.float32)} for i in range(12)]
    answers = all_at_once(client, "double", requests)
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], 2 * request["x"])
    inferences, runs = (a - b for a, b in zip(executions(client, "double"), before, strict=True))
    assert inferences == sum(len(request["x"]) for request in requests)
    assert runs <= 4


def test_one_bad_request_fails_alone(client: InferenceClient) -> None:
    indices = [1, 2, 99, 3, 4, 5]
    requests = [{"index": np.array([[i]], dtype=np.int64)} for i in indices]
    answers = all_at_once(client, "lookup", requests)
    for index, answer in zip(indices, answers, strict=True):
        if index == 99:
            assert isinstance(answer, ClocheError)
            assert "onnx runtime error 2: " in answer.what
            assert "out of data bounds" in answer.what
        else:
            np.testing.assert_array_equal(answer["found"], [[index]])


@pytest.mark.parametrize(
    ("model", "tensors", "words"),
    [
        ("double", {"z": np.zeros((1, 2), "f4")}, "unexpected inference input 'z'"),
        ("double", {"x": np.zeros((1, 2), "f8")}, "inference input 'x' data-type is 'FP64', but"),
        ("double", {"x": np.zeros((1, 2, 3), "f4")}, "unexpected shape for input 'x'"),
        ("double", {"x": np.zeros((65, 1), "f4")}, "batch-size must be <= 64"),
        ("optional", {"bias": np.zeros(2, "f4")}, "'x'"),
        ("double", {"x": Tensor(np.zeros((1, 2), "f4"), "BF16")}, "data-type is 'BF16'"),
    ],
)  # fmt: skip
def test_wrong_requests_are_told_what_is_wrong(
    client: InferenceClient, model: str, tensors: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClocheError) as caught:
        ask(client, model, tensors)
    assert words in caught.value.what
    assert client.ready(model)
