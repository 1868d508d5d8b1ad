"""Real Triton loads the repositories that Cloche writes, one per kind of shape, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from models_of_shapes import CASES, Case

from cloche import pipeline
from cloche.artifacts import Severity
from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import decode, encode
from cloche.model_config.messages import parse
from cloche.progress import SilentProgress
from cloche.spec import ServiceSpec
from cloche.store import Store
from fixtures.triton import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.artifacts import ModelRepository
    from fixtures.triton import TritonStarter

TENSORS = """
input { name: "x" data_type: TYPE_FP32 dims: [3] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
"""
STEP = 'step { model_name: "%s" model_version: -1 input_map { key: "x" value: "%s" } output_map '
STEP += '{ key: "y" value: "%s" } }\n'
PLUS_ONE = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(one, "x").as_numpy() for one in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x + 1)]) for x in inputs]
"""


def finished_repository(folder: Path) -> Path:
    """Write an ensemble of an ONNX and a Python model: y = 2·x + 1; it has no version folder."""
    steps = STEP % ("twice", "x", "between") + STEP % ("plus_one", "between", "y")
    configs = {
        "chain": f'platform: "ensemble"\nensemble_scheduling {{ {steps} }}',
        "twice": 'platform: "onnxruntime_onnx"',
        "plus_one": 'backend: "python"',
    }
    for name, config in configs.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(f"{config}\nmax_batch_size: 8\n{TENSORS}")
    onnx.save(CASES[0].model(), folder / "twice" / "1" / "model.onnx")
    (folder / "plus_one" / "1" / "model.py").write_text(PLUS_ONE)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, ModelRepository]]:
    folder = tmp_path_factory.mktemp("built")
    store = Store(folder / "store", 2**30)
    made = {}
    path = finished_repository(folder / "finished")
    snapshot = pipeline.resolve(
        str(path), directory=folder, store=store, progress=SilentProgress(), environment={}
    )
    facts = pipeline.facts(snapshot, store)
    spec = ServiceSpec(model=str(path))
    made["chain"] = pipeline.build("anything", snapshot, facts, None, spec, store)
    for case in CASES:
        path = folder / f"{case.name}.onnx"
        onnx.save(case.model(), path)
        snapshot = pipeline.resolve(
            str(path), directory=folder, store=store, progress=SilentProgress(), environment={}
        )
        facts = pipeline.facts(snapshot, store)
        spec = ServiceSpec.model_validate({"model": str(path), **case.asked})
        made[case.name] = pipeline.build(case.name, snapshot, facts, None, spec, store)
    return store, made


@pytest.fixture(scope="module")
def client(
    built: tuple[Store, dict[str, ModelRepository]], triton_starter: TritonStarter
) -> Iterator[InferenceClient]:
    store, made = built
    files = tuple(entry for one in made.values() for entry in one.files)
    models = [name for one in made.values() for name in one.models]
    running = triton_starter.start(store.tree_path(store.put_tree(files)), models)
    with InferenceClient(running.url) as client:
        yield client


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_config_says_what_the_shape_is(
    case: Case, built: tuple[Store, dict[str, ModelRepository]]
) -> None:
    store, made = built
    one = made[case.name]
    digest = next(entry.digest for entry in one.files if entry.path.endswith("config.pbtxt"))
    config = parse(store.read(digest), case.name)
    tensors = {tensor.name: tensor for tensor in (*config.input, *config.output)}
    assert config.max_batch_size == one.main.max_batch_size == case.max_batch_size
    assert {name: list(tensors[name].dims) for name in case.dims} == case.dims
    assert not [found for found in one.findings if found.severity is Severity.ERROR]
    sent_or_got = case.request | case.answer
    for spec in (*one.main.inputs, *one.main.outputs):
        if spec.optional and spec.name not in sent_or_got:
            continue
        sent = sent_or_got[spec.name].shape
        assert len(spec.shape) == len(sent)
        assert all(size in {-1, real} for size, real in zip(spec.shape, sent, strict=True))


def test_a_finished_ensemble_answers(client: InferenceClient) -> None:
    x = np.ones((2, 3), np.float32)
    body, length = encode({"x": x}, binary=True)
    answer = client.infer("chain", body, length)
    np.testing.assert_array_equal(decode(answer.body, answer.header_length)["y"], 2 * x + 1)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_triton_answers(case: Case, binary: bool, client: InferenceClient) -> None:
    body, length = encode(case.request, binary=binary)
    answer = client.infer(case.name, body, length)
    tensors = decode(answer.body, answer.header_length)
    assert set(tensors) == set(case.answer)
    for name, expected in case.answer.items():
        assert tensors[name].shape == expected.shape
        if expected.dtype == np.object_:
            assert [text.decode() for text in tensors[name].ravel()] == list(expected.ravel())
        else:
            np.testing.assert_array_equal(tensors[name], expected)


def test_what_clients_are_told_is_what_the_repository_says(
    client: InferenceClient, built: tuple[Store, dict[str, ModelRepository]]
) -> None:
    for name, one in built[1].items():
        metadata = document(client, f"models/{name}")
        for side, specs in (("inputs", one.main.inputs), ("outputs", one.main.outputs)):
            told = {t["name"]: (t["datatype"], tuple(map(int, t["shape"]))) for t in metadata[side]}
            assert told == {spec.name: (spec.datatype, spec.shape) for spec in specs}


def test_what_is_asked_for_reaches_triton(client: InferenceClient) -> None:
    config = document(client, "models/everything-asked/config")
    batching = config["dynamic_batching"]
    assert config["max_batch_size"] == 16
    assert batching["preferred_batch_size"] == [4, 8]
    assert batching["max_queue_delay_microseconds"] == 1_000
    assert batching["default_queue_policy"]["max_queue_size"] == 100
    assert int(batching["default_queue_policy"]["default_timeout_microseconds"]) == 20_000_000
    assert sum(group["count"] for group in config["instance_group"]) == 2
    parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
    assert parameters == {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "1",
        "enable_mem_arena": "0",
    }
    assert config["optimization"]["graph"]["level"] == -1
    queue = document(client, "models/alone-with-a-queue/config")["dynamic_batching"]
    queue = queue["default_queue_policy"]
    assert queue["max_queue_size"] == 100
