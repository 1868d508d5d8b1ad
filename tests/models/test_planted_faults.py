"""Wrong models are caught: each fault is planted in what is served, after the trial.

The golden request and its judge are those of the right model, and real Triton serves the wrong one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche import pipeline
from cloche.artifacts import (
    Cause,
    Deployment,
    FileEntry,
    Judge,
    Lock,
    Member,
    Operated,
    Phase,
    Rollout,
)
from cloche.progress import SilentProgress
from cloche.rollout.objection import objection
from cloche.spec import ServiceSpec
from cloche.store import Store
from cloche.testing import verification
from cloche.verification import replay
from cloche.verification.reference import Interpreters
from fixtures.golden import golden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloche.artifacts import Golden, Verification
    from fixtures.triton import TritonStarter

WEIGHTS = np.arange(1, 7, dtype="f4").reshape(2, 3)


def graph(*, weights: Any = WEIGHTS, swapped: bool = False) -> bytes:
    """Return a model with two outputs of one shape: x·w and its square."""
    first, second = ("b", "a") if swapped else ("a", "b")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Identity", ["p"], [first]),
        helper.make_node("Mul", ["p", "p"], [second]),
    ]
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, ["batch", 2])],
        [value(name, TensorProto.FLOAT, ["batch", 3]) for name in "ab"],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()


SWAP_COLUMNS = b"""
_make = Inputs.make
def _swapped(self, arrays):
    changed = dict(arrays)
    changed["age"] = arrays["income"].astype("int64")
    changed["income"] = arrays["age"].astype("float64")
    return _make(self, changed)
Inputs.make = _swapped
"""
SWAP_OUTPUTS = b"""
_read = Outputs.read
def _swapped(self, result, rows):
    arrays = _read(self, result, rows)
    arrays["year"], arrays["bytes"] = arrays["bytes"], arrays["year"]
    return arrays
Outputs.read = _swapped
"""


@dataclass(frozen=True)
class Fault:
    """What is served in place of a right model, and what the judge says."""

    model: str
    file: str
    change: Callable[[bytes], bytes]
    words: str


FAULTS = {
    "other-weights": Fault(
        "right", "model.onnx", lambda _: graph(weights=WEIGHTS + 0.01), r"output a at .* instead of"
    ),
    "swapped-outputs": Fault(
        "right", "model.onnx", lambda _: graph(swapped=True), r"output a at .* instead of"
    ),
    "all-nan": Fault(
        "right", "model.onnx", lambda _: graph(weights=WEIGHTS * np.nan), "is nan instead of"
    ),
    "other-columns": Fault(
        "people", "pyfunc_inputs.py", lambda data: data + SWAP_COLUMNS, "output output at"
    ),
    "other-names": Fault(
        "describe", "pyfunc_outputs.py", lambda data: data + SWAP_OUTPUTS, "output year at"
    ),
}


@dataclass(frozen=True)
class Planted:
    """The right deployments with their golden requests, and a Triton with every fault."""

    store: Store
    right: dict[str, Deployment]
    golden: dict[str, Golden]
    url: str

    def ask(self, served: str, model: str) -> Verification:
        main = replace(self.right[model].repository.main, name=served)
        return replay.verify(self.golden[model], self.url, model=main, store=self.store)


def prepared(path: Path, name: str, lock: Lock | None, store: Store) -> Deployment:
    snapshot = pipeline.resolve(
        str(path), directory=path.parent, store=store, progress=SilentProgress(), environment={}
    )
    facts = pipeline.facts(snapshot, store)
    own = lock if facts.backend == "python" else None
    spec = ServiceSpec.model_validate({"model": str(path)})
    built = pipeline.build(name, snapshot, facts, own, spec, store)
    return Deployment(name, (Member(name, snapshot, facts, own),), built)


def files_of(deployed: Deployment, name: str, store: Store, fault: Fault | None) -> list[FileEntry]:
    """Return a repository's files under another name of the model, with a fault in one of them."""
    files = []
    for entry in deployed.repository.files:
        path, data = f"{name}/{entry.path.partition('/')[2]}", store.read(entry.digest)
        if entry.path.endswith("config.pbtxt"):
            data = re.sub(rb'^name: "[^"]*"', f'name: "{name}"'.encode(), data, count=1)
        if fault is not None and path == f"{name}/1/{fault.file}":
            assert fault.change(data) != data
            data = fault.change(data)
        files.append(FileEntry(path, len(data), store.add_bytes(data)))
    return files


@pytest.fixture(scope="module")
def planted(
    saved: tuple[Lock, Path, Path],
    triton_starter: TritonStarter,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Planted]:
    lock, environment, folder = saved
    home = tmp_path_factory.mktemp("planted")
    store = Store(home / "store", 2**30)
    (home / "right.onnx").write_bytes(graph())
    paths = {"right": home / "right.onnx"} | {n: folder / n for n in ("people", "describe")}
    right = {name: prepared(path, name, lock, store) for name, path in paths.items()}
    pythons = Interpreters(triton_starter.installation.interpreter, environment / "bin" / "python")
    asked = {name: golden(deployed, store, pythons) for name, deployed in right.items()}
    files = [e for name, one in right.items() for e in files_of(one, name, store, None)]
    for name, fault in FAULTS.items():
        files += files_of(right[fault.model], name, store, fault)
    tree = store.tree_path(store.put_tree(tuple(files)))
    running = triton_starter.start(tree, [*right, *FAULTS], environment=environment)
    yield Planted(store, right, asked, running.url)
    running.stop()


@pytest.mark.parametrize("model", ["right", "people", "describe"])
def test_what_is_right_passes(model: str, planted: Planted) -> None:
    done = planted.ask(model, model)
    assert done.passed, done.detail
    assert done.judge is Judge.REFERENCE


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_the_framework_itself(name: str, planted: Planted) -> None:
    fault = FAULTS[name]
    done = planted.ask(name, fault.model)
    assert not done.passed
    assert re.search(fault.words, str(done.detail))


def test_values_that_are_not_finite_need_a_yes_where_nothing_else_judges(planted: Planted) -> None:
    asked = planted.golden["right"]
    smoke = replace(asked, judge=Judge.SMOKE, expected=None, why="Nobody knows.")
    main = replace(planted.right["right"].repository.main, name="all-nan")
    done = replay.verify(smoke, planted.url, model=main, store=planted.store)
    assert done.passed
    assert set(done.nonfinite) == {"a", "b"}
    rollout = Rollout(2, 1, Cause.DEPLOY, "me", done.at, Phase.VERIFYING, done.at)
    against = objection(rollout, done, verification(judge=Judge.SMOKE), Operated())
    assert against is not None
    assert against.code == "rollout.nonfinite"


def test_an_environment_with_another_version_is_another_revision(planted: Planted) -> None:
    deployed = planted.right["people"]
    lock = deployed.main.lock
    assert lock is not None
    other = Lock("sha256:" + "0" * 64, lock.python, lock.text.replace("pandas==", "pandas==9"))
    changed = replace(deployed, members=(replace(deployed.main, lock=other),))
    assert changed.digest != deployed.digest
